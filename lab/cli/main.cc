#include "lab/cli/run.h"

int main(int argc, char** argv) { return seednorm::lab::run(argc, argv); }
