// The address of this machine in the network that it shares with another.
#ifndef SEEDNORM_LAB_DIST_ADDRESS_H_
#define SEEDNORM_LAB_DIST_ADDRESS_H_

#include <string>

namespace seednorm::lab {

// The local address from which packets to `host` leave, such as "10.0.0.7". Errors (UserError): `host` has no
// address, or no way leads there.
std::string local_address_towards(const std::string& host, int port);

// "HOST (process 123)" for messages.
std::string process_name();

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_DIST_ADDRESS_H_
