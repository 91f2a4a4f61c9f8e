// What each part of the binding adds to the addon's exports. One function a file.
#pragma once

#include <napi.h>

namespace tarspout::binding {

void InitTar(Napi::Env env, Napi::Object exports);     // tar.cc
void InitPipe(Napi::Env env, Napi::Object exports);    // pipe.cc
void InitEngine(Napi::Env env, Napi::Object exports);  // port.cc

}  // namespace tarspout::binding
