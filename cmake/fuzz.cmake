# Compile options of fuzzed code: libFuzzer's coverage and the sanitizers. The core does not get them, since it does not read
# files and would take a quarter of an hour to compile.
add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=null,alignment,object-size,vptr
                    -fno-sanitize-recover=all)
