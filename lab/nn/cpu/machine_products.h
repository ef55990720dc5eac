// The choice of libraries for products that a machine measures once and keeps.
#ifndef SEEDNORM_LAB_NN_CPU_MACHINE_PRODUCTS_H_
#define SEEDNORM_LAB_NN_CPU_MACHINE_PRODUCTS_H_

#include "lab/nn/cpu/product_choice.h"

namespace seednorm::lab {

// What measure_product_choice() found on this kind of processor with this libtorch when it was called first.
// It is kept in a file in $XDG_CACHE_HOME/seednorm (otherwise ~/.cache/seednorm), so that noise does not give
// two runs different bits; remove the file to measure again. Without such a folder, this process measures.
ProductChoice machine_product_choice();

// The choice that `setting` names: "auto" is machine_product_choice(), anything else is parsed. Errors
// (std::invalid_argument): as ProductChoice::parse.
ProductChoice product_choice_of(const std::string& setting);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_MACHINE_PRODUCTS_H_
