#include "lab/dist/address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "lab/base/descriptor.h"
#include "lab/base/error.h"

namespace seednorm::lab {

std::string local_address_towards(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) throw UserError("the address of rank 0, " + quote(host) + ": " + gai_strerror(failed));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, &freeaddrinfo);
  std::string reason;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    const Descriptor socket(::socket(a->ai_family, a->ai_socktype, a->ai_protocol));
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    char text[NI_MAXHOST];
    // Connecting a datagram socket sends nothing; it only chooses the way.
    if (socket.get() >= 0 && ::connect(socket.get(), a->ai_addr, a->ai_addrlen) == 0 &&
        ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text, sizeof text, nullptr, 0,
                    NI_NUMERICHOST) == 0) {
      return text;
    }
    reason = std::strerror(errno);
  }
  throw UserError("no way leads to the address of rank 0, " + quote(host) + ": " + reason);
}

std::string process_name() {
  char host[256] = "?";
  ::gethostname(host, sizeof host - 1);
  return std::string(host) + " (process " + std::to_string(::getpid()) + ")";
}

}  // namespace seednorm::lab
