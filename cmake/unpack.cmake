# cmake -DGZIP=program -DFROM=folder -DTO=folder -P unpack.cmake: unpacks all .gz files of a folder into another.
#
# A script, because ctest runs a program without a shell that could redirect what gzip writes.
file(GLOB files "${FROM}/*.gz")
file(MAKE_DIRECTORY "${TO}")
foreach(file IN LISTS files)
    get_filename_component(name "${file}" NAME_WLE)
    execute_process(COMMAND "${GZIP}" -dc "${file}" OUTPUT_FILE "${TO}/${name}" COMMAND_ERROR_IS_FATAL ANY)
endforeach()
