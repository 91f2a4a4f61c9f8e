process.env.TS = '1'
process.env.TI = '262144'
const { sendCommits } = await import('../lib/tarspout.js')
export const about = { title: 'x inl', kind: 'tarspout', packages: [] }
export const run = (fifoPath, load) => sendCommits(fifoPath, load, {})
