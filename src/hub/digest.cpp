// Hashes by OpenSSL's EVP interface.
// A file is hashed by way of its map, a piece at a time, so that its pages need not stay in memory.
#include "hub/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "core/file.h"

namespace strata::hub {
namespace {

EVP_MD_CTX* of(void* context) { return static_cast<EVP_MD_CTX*>(context); }

}  // namespace

void Digest::Free::operator()(void* context) const { EVP_MD_CTX_free(of(context)); }

Digest::Digest(const char* algorithm) : context_(EVP_MD_CTX_new()) {
  const EVP_MD* const method = EVP_get_digestbyname(algorithm);
  if (context_ == nullptr || method == nullptr || EVP_DigestInit_ex(of(context_.get()), method, nullptr) != 1)
    fail("OpenSSL of this machine has no {}", algorithm);
}

Digest Digest::sha256() { return Digest("SHA256"); }

Digest Digest::git_blob(std::uint64_t size) {
  Digest digest("SHA1");
  const std::string head = fmt::format("blob {}", size);
  digest.update(std::as_bytes(std::span(head.c_str(), head.size() + 1)));  // with the 0 at its end
  return digest;
}

void Digest::update(std::span<const std::byte> bytes) {
  STRATA_CHECK(EVP_DigestUpdate(of(context_.get()), bytes.data(), bytes.size()) == 1);
}

std::string Digest::hex() {
  unsigned char value[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  STRATA_CHECK(EVP_DigestFinal_ex(of(context_.get()), value, &size) == 1);
  std::string text;
  for (const unsigned char byte : std::span(value, size)) text += fmt::format("{:02x}", byte);
  return text;
}

void update_from_file(Digest& digest, const std::filesystem::path& path,
                      const std::function<void(std::size_t)>& on_bytes) {
  constexpr std::size_t piece = 4u << 20;
  const MappedFile file(path);
  for (std::span<const std::byte> rest = file.bytes(); !rest.empty();) {
    const auto part = rest.first(std::min(piece, rest.size()));
    digest.update(part);
    MappedFile::drop(part);
    rest = rest.subspan(part.size());
    if (on_bytes) on_bytes(part.size());
  }
}

}  // namespace strata::hub
