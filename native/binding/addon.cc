// The addon's entry point: what each part exports is declared beside it.
#include <napi.h>

#include "binding/exports.h"

namespace tarspout::binding {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  InitTar(env, exports);
  InitPipe(env, exports);
  InitEngine(env, exports);
  return exports;
}

NODE_API_MODULE(tarspout, Init)

}  // namespace tarspout::binding
