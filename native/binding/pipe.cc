// How full a pipe is, for JavaScript. Main thread; calls no JavaScript back.
#include <napi.h>

#include <cstdint>

#include "binding/exports.h"
#include "fifo/fifo.h"

namespace tarspout::binding {

namespace {

// pipeFilling(fd); src/addon.ts has the contract.
Napi::Value PipeFilling(const Napi::CallbackInfo& info) {
  int32_t fd = -1;
  napi_get_value_int32(info.Env(), info[0], &fd);
  const fifo::Filling filling = fifo::FillingOf(fd);
  Napi::Array out = Napi::Array::New(info.Env(), 2);
  out.Set(0U, static_cast<double>(filling.unread));
  out.Set(1U, static_cast<double>(filling.capacity));
  return out;
}

}  // namespace

void InitPipe(Napi::Env env, Napi::Object exports) {
  exports.Set("pipeFilling", Napi::Function::New<PipeFilling>(env, "pipeFilling"));
}

}  // namespace tarspout::binding
