// The writer of one row, in its own process: sends archives by plan and prints, one JSON line each, what it was told.
//   node dist-test/torture/writer.js '{"kind":"tarspout","path":...,"seed":1,"from":0,"archives":10,...}'
import { constants, createWriteStream, open } from 'node:fs';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { pack } from 'tar-stream';
import { Plan } from './plan.js';
const options = JSON.parse(process.argv[2] ?? '{}');
const plan = new Plan(options.seed, options.limits);
const tell = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);
const started = Date.now();
/** Waits until an archive is due, for sources that give one now and then. */
async function due(archive) {
    if (options.everyMs === undefined)
        return;
    const at = started + (archive - options.from) * options.everyMs;
    if (at > Date.now())
        await delay(at - Date.now());
}
async function tarspout() {
    // Not a static import: the other writers must run without the engine.
    const { openSpout } = (await import('tarspout'));
    const { path, connection, confirm, pipeSize } = options;
    const spout = await openSpout({ path, connection, confirm, ...(pipeSize ? { pipeSize } : {}) });
    const pending = new Set();
    const most = connection === 'persistent' ? 16 : 1;
    for (let archive = options.from; archive < options.archives; archive++) {
        await due(archive);
        const commit = spout.beginCommit();
        for (const entry of plan.archive(archive)) {
            if (!commit.add(entry.name, plan.body(entry)))
                await commit.ready();
        }
        const settled = commit
            .end()
            .then(({ attempts }) => tell({ archive, outcome: 'delivered', attempts }), (error) => tell({ archive, outcome: 'rejected', attempts: 0, code: error.code ?? error.message }))
            .then(() => void pending.delete(settled));
        pending.add(settled);
        while (pending.size >= most)
            await Promise.race(pending);
    }
    await Promise.all(pending);
    await spout.close();
}
/** An archive as tar-stream makes it. Its end is two zero blocks. */
function packed(archive) {
    const archiver = pack();
    const add = async () => {
        for (const entry of plan.archive(archive)) {
            const header = { name: entry.name, size: entry.size, mode: 0o600, mtime: new Date(0) };
            await new Promise((resolve, reject) => {
                const sink = archiver.entry(header, Buffer.from(plan.body(entry)), (error) => error ? reject(error) : resolve());
                sink?.on('error', () => { }); // the callback has it too
            });
        }
        archiver.finalize();
    };
    add().catch((error) => archiver.destroy(error));
    return Readable.from(archiver);
}
async function openSocket() {
    const fd = await promisify(open)(options.path, constants.O_WRONLY);
    const socket = new Socket({ fd, readable: false, writable: true });
    socket.on('error', () => { }); // the write's callback has it too
    return socket;
}
const tries = 32;
/** Sends an archive again from its start after an error, as the spout documentation advises. */
async function insist(archive, send) {
    let code;
    for (let attempts = 1; attempts <= tries; attempts++) {
        try {
            await send();
            return tell({ archive, outcome: 'delivered', attempts });
        }
        catch (error) {
            code = error.code ?? String(error);
            await delay(20);
        }
    }
    tell({ archive, outcome: 'rejected', attempts: tries, code });
}
async function fileStream() {
    for (let archive = options.from; archive < options.archives; archive++) {
        await due(archive);
        await insist(archive, () => pipeline(packed(archive), createWriteStream(options.path)));
    }
}
async function writeAll(source, target) {
    for await (const chunk of source) {
        await new Promise((resolve, reject) => {
            target.write(chunk, (error) => (error ? reject(error) : resolve()));
        });
    }
}
async function socketStream() {
    let socket;
    for (let archive = options.from; archive < options.archives; archive++) {
        await due(archive);
        await insist(archive, async () => {
            socket ??= await openSocket();
            const target = socket;
            try {
                await writeAll(packed(archive), target);
                if (options.connection === 'persistent')
                    return;
            }
            catch (error) {
                socket = undefined;
                target.destroy();
                throw error;
            }
            socket = undefined;
            target.destroy();
            await finished(target).catch(() => { });
        });
    }
    socket?.destroy();
}
const writers = { tarspout, createWriteStream: fileStream, 'net.Socket': socketStream };
await writers[options.kind]();
