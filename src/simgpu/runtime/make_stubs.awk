# Turns exports.txt into what the linker and the compiler need for one major version.
#   awk -v major=13 -v want=stubs -f make_stubs.awk exports.txt               C source of all stubs
#   awk -v major=13 -v want=libcudart.so.13 -f make_stubs.awk exports.txt     linker version script
BEGIN {
    if (want == "stubs")
        print "#include \"cudart_errors.h\"\n#include \"runtime.h\"\n"
    else
        print want " {\nglobal:"
}
/^#/ || NF == 0 { next }
{ count = split($2, range, "-") }
major < range[1] + 0 || major > range[count] + 0 { next }
want != "stubs" { print "    " $1 ";" }
want == "stubs" && $3 == "stub" {
    print "RT_API cudaError_t " $1 "(void);"
    print "RT_API cudaError_t " $1 "(void)\n{\n    return rt_done(cudaErrorNotSupported);\n}\n"
}
END {
    if (want != "stubs")
        print "local:\n    *;\n};"
}
