// Formats (--fix) or checks every C++ file with clang-format, whose version package-lock.json pins.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { clangFormatPath } from 'clang-format-node'

const folders = ['native', 'test', 'bench']
const files = folders
  .flatMap((folder) => readdirSync(folder, { recursive: true }).map((file) => join(folder, file)))
  .filter((file) => /\.(cc|h|c)$/.test(file) && !file.includes('node_modules'))
const mode = process.argv.includes('--fix') ? ['-i'] : ['--dry-run', '--Werror']
const { status, error } = spawnSync(clangFormatPath, [...mode, ...files], { stdio: 'inherit' })
if (error) console.error(`clang-format did not start: ${error.message}`)
process.exit(status ?? 1)
