// Compares the glibc that the prebuilt addon needs with the one the README promises. Newer: build
// on an older system.
import { readFileSync } from 'node:fs'

const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), 'latin1')

// The names of symbol versions stand in the library as text (GLIBC_2.34).
const minors = [...read('prebuilds/linux-x64/tarspout.node').matchAll(/GLIBC_2\.(\d+)/g)].map(
  ([, minor]) => Number(minor),
)
const needed = Math.max(...minors)
const promised = Number(/glibc 2\.(\d+)/.exec(read('README.md'))?.[1])
console.log(`glibc: the addon needs 2.${needed}, the README says 2.${promised}`)
process.exit(needed === promised ? 0 : 1)
