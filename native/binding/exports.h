// What each part of the binding adds to the addon's exports. One function a file.
#pragma once

#include <napi.h>

namespace tarspout::binding {

void InitTar(Napi::Env env, Napi::Object exports);     // tar.cc
void InitEngine(Napi::Env env, Napi::Object exports);  // port.cc

}  // namespace tarspout::binding
