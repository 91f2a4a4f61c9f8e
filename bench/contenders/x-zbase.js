const { sendCommits } = await import('../lib/tarspout.js')
export const about = { title: 'x zbase', kind: 'tarspout', packages: [] }
export const run = (fifoPath, load) => sendCommits(fifoPath, load, { zeroCopy: true })
