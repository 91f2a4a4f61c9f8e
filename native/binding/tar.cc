// Header encoding for JavaScript.
#include <napi.h>

#include "binding/exports.h"

namespace tarspout::binding {

void InitTar(Napi::Env, Napi::Object) {}

}  // namespace tarspout::binding
