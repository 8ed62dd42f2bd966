# libdeepc, static and shared, with its headers and what find_package() and pkg-config read.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(deepc_static STATIC ${deepc_objects})
set_target_properties(deepc_static PROPERTIES EXPORT_NAME static)
set(libraries deepc_static)
get_property(has_shared GLOBAL PROPERTY TARGET_SUPPORTS_SHARED_LIBS)   # WebAssembly has none
if(has_shared)
    add_library(deepc_shared SHARED ${deepc_objects})
    set_target_properties(deepc_shared PROPERTIES EXPORT_NAME shared OUTPUT_NAME deepc
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
    list(APPEND libraries deepc_shared)
endif()
if(NOT WIN32)   # there deepc.lib is the import library of the shared one
    set_target_properties(deepc_static PROPERTIES OUTPUT_NAME deepc)
endif()
foreach(library IN LISTS libraries)
    set_target_properties(${library} PROPERTIES LINKER_LANGUAGE C)
    target_link_libraries(${library} PRIVATE ${deepc_link_libraries})
    target_include_directories(${library} INTERFACE
        "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/csrc>"
        "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
    if(DEEPC_SANITIZE)
        target_link_options(${library} PUBLIC ${deepc_sanitize})
    endif()
endforeach()
add_library(deepc::static ALIAS deepc_static)
if(has_shared)
    add_library(deepc::shared ALIAS deepc_shared)
endif()
if(has_shared AND (BUILD_SHARED_LIBS OR NOT DEFINED BUILD_SHARED_LIBS))
    add_library(deepc::deepc ALIAS deepc_shared)
else()
    add_library(deepc::deepc ALIAS deepc_static)
endif()

# The shared library shows the functions that deepc_api.h declares, and no other.
set(declarations "${CMAKE_CURRENT_SOURCE_DIR}/csrc/deepc_api.h")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${declarations}")
file(STRINGS "${declarations}" lines REGEX "^[a-z][a-zA-Z0-9_ *]*dc_[a-z0-9_]+\\(")
set(exports)
foreach(line IN LISTS lines)
    string(REGEX MATCH "dc_[a-z0-9_]+\\(" name "${line}")
    string(REPLACE "(" "" name "${name}")
    list(APPEND exports ${name})
endforeach()
if(has_shared)
    deepc_export(deepc_shared ${exports})
endif()

install(TARGETS ${libraries} EXPORT deepc COMPONENT library
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
file(GLOB headers CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/csrc/deepc*.h")
install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/deepc COMPONENT library)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/deepc)
install(EXPORT deepc NAMESPACE deepc:: FILE deepcTargets.cmake DESTINATION ${package_folder}
    COMPONENT library)
configure_package_config_file(cmake/deepcConfig.cmake.in deepcConfig.cmake
    INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(deepcConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    "${CMAKE_CURRENT_BINARY_DIR}/deepcConfig.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/deepcConfigVersion.cmake"
    DESTINATION ${package_folder} COMPONENT library)

# Paths relative to the file itself, so that an installed tree can be moved.
file(RELATIVE_PATH deepc_pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" deepc_pc_prefix "${deepc_pc_prefix}")
configure_file(cmake/deepc.pc.in deepc.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/deepc.pc"
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
