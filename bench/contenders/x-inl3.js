process.env.TS = '1'
process.env.TI = '393216'
const { sendCommits } = await import('../lib/tarspout.js')
export const about = { title: 'x inl3', kind: 'tarspout', packages: [] }
export const run = (fifoPath, load) => sendCommits(fifoPath, load, {})
