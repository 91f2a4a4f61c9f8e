{
  "targets": [
    {
      "target_name": "tarspout",
      "sources": [
        "<!@(node -p \"require('node:fs').readdirSync('native', { recursive: true }).filter((f) => f.endsWith('.cc')).map((f) => 'native/' + f).join(' ')\")"
      ],
      "include_dirs": ["native", "<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "NAPI_DISABLE_CPP_EXCEPTIONS"],
      "cflags_cc": ["-std=c++20", "-O3", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti"],
      "cflags_cc!": ["-std=gnu++17", "-fexceptions"],
      # libstdc++ is linked in: a prebuilt addon then needs no newer one than the system that runs it has.
      "ldflags": ["-Wl,-z,nodelete", "-static-libstdc++", "-Wl,--exclude-libs,ALL", "-Wl,--gc-sections"]
    }
  ]
}
