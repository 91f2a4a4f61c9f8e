// A spout: reads 10,000 reports of bird strikes and hands them on, 250 to a commit.
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { openSpout } from 'tarspout'

// The source: any iterable or async iterable will do, a Kafka consumer as well as a file.
async function* reports() {
  const path = new URL('../node_modules/vega-datasets/data/birdstrikes.csv', import.meta.url)
  let number = 0
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (number > 0) yield { number, line } // line 0 names the columns
    number++
  }
}

const spout = await openSpout() // $PFS_DIR/out
let delivered = 0
await spout.run(reports(), {
  toEntry: ({ number, line }) => ({
    name: `report-${String(number).padStart(5, '0')}.csv`,
    data: `${line}\n`,
  }),
  maxEntries: 250,
  onDelivered: (items) => {
    delivered += items.length // committed: a queue would be acknowledged here
  },
})
await spout.close()
console.log(`${delivered} reports delivered`)
