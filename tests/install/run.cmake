# Installs a build into a new folder inside it, then builds and runs the project beside this file against that.
#
#   cmake -DBUILD=folder -DCONFIG=Release -DCOMPILER=cc -DGENERATOR=Ninja -P run.cmake
set(scratch "${BUILD}/tests/install")
file(REMOVE_RECURSE "${scratch}")   # or a file that is no longer installed would still be found

function(run)
    execute_process(COMMAND "${CMAKE_COMMAND}" ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
run(--install "${BUILD}" --config "${CONFIG}" --component library --prefix "${scratch}/first")
# What is installed can be moved.
file(RENAME "${scratch}/first" "${scratch}/prefix")
run(-S "${CMAKE_CURRENT_LIST_DIR}" -B "${scratch}/build" -G "${GENERATOR}" "-DCMAKE_BUILD_TYPE=${CONFIG}"
    "-DCMAKE_C_COMPILER=${COMPILER}" "-DCMAKE_PREFIX_PATH=${scratch}/prefix")
run(--build "${scratch}/build" --config "${CONFIG}")
run(-E chdir "${scratch}/build" "${CMAKE_CTEST_COMMAND}" -C "${CONFIG}" --output-on-failure)
