// Terminates a worker thread that is in a state, then shows that the process and the FIFO are in
// order. Second argument: 'alone' if only the worker loads the addon before it is terminated.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

if (isMainThread) {
  const [state, path = '', who] = process.argv.slice(2)
  if (who !== 'alone') await import('tarspout')
  for (let i = 0; i < 3; i++) {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { state, path } })
    const [message] = await once(worker, 'message')
    if (message !== 'reached') throw new Error(String(message))
    await worker.terminate()
    await readFile(fileURLToPath(import.meta.url))
  }
  // The FIFO is free again: the dead thread's claim is gone.
  const { openSpout } = await import('tarspout')
  const spout = await openSpout({ path })
  await spout.close()
  console.log('in order')
} else {
  const { reach } = await import('./states.js')
  await reach(workerData.state, workerData.path)
  parentPort?.postMessage('reached')
  parentPort?.on('message', () => {}) // stays until terminated
}
