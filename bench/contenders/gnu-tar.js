import { closeSync, constants, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runMeasured } from '../lib/programs.js'
import { filesFolder, readNames } from '../lib/workloads.js'

export const about = {
  title: 'GNU tar of the same files',
  kind: 'program',
  packages: [],
  skips: (workload) =>
    workload.pauseMs ? 'a process per archive is not an idle writer' : undefined,
}

const options = [
  '--format=posix',
  '--pax-option=delete=atime,delete=ctime,delete=mtime',
  '--owner=0',
  '--group=0',
  '--numeric-owner',
  '--no-recursion',
  '--hard-dereference', // a name listed again is a file again
]
const recordBlocks = 512

/** The load's names, as many as it has entries, in a file for `tar -T`. */
function writeNames(load, names, first, end) {
  const file = join(load.folder, `list-${process.pid}`)
  const list = []
  for (let i = first; i < end; i++) list.push(names[i % names.length])
  writeFileSync(file, `${list.join('\n')}\n`)
  return file
}

export async function run(fifoPath, load) {
  const names = readNames(load.folder)
  const total = { startedAt: undefined, cpuSeconds: 0, peakRssBytes: 0 }
  const persistent = load.connection === 'persistent'
  const fd =
    persistent && load.archiveCount > 1 ? openSync(fifoPath, constants.O_WRONLY) : undefined
  for (let k = 0; k < load.archiveCount; k++) {
    const list = writeNames(
      load,
      names,
      k * load.entriesPerArchive,
      (k + 1) * load.entriesPerArchive,
    )
    // No padding where the archive is of known length; else records of 256 KiB, the best for a
    // pipe.
    const blocks = load.archiveCount > 1 ? load.archiveBytes / 512 : recordBlocks
    const command = [
      'tar',
      '-c',
      '-b',
      String(blocks),
      ...options,
      '-C',
      filesFolder(load.folder),
      '-T',
      list,
    ]
    const cost = await runMeasured(
      [...command, '-f', fd === undefined ? fifoPath : '/dev/fd/3'],
      fd,
    )
    total.startedAt ??= cost.startedAt
    total.cpuSeconds += cost.cpuSeconds
    total.peakRssBytes = Math.max(total.peakRssBytes, cost.peakRssBytes)
  }
  if (fd !== undefined) closeSync(fd)
  load.at(load.count - 1)
  return total
}
