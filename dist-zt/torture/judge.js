const archiveOf = (name) => {
    const match = /^a(\d+)-e\d+/.exec(name);
    return match ? Number(match[1]) : undefined;
};
/** Compares what the writer was told with what the readers finished. Pure: the same input gives the same verdict. */
export function judge(plan, archives, told, commits) {
    const planned = new Map();
    const plannedOf = (archive) => {
        const known = planned.get(archive);
        if (known)
            return known;
        const entries = new Map(plan.archive(archive).map((entry) => [entry.name, entry]));
        planned.set(archive, entries);
        return entries;
    };
    const verdict = {
        ...{ delivered: 0, rejected: 0, untold: 0, lost: 0, entriesLost: 0, corrupt: 0, mixed: 0, disordered: 0 },
        ...{
            duplicates: 0,
            partial: 0,
            corruptInPartial: 0,
            fragments: 0,
            empty: 0,
            attemptsMean: 0,
            attemptsMax: 0,
        },
    };
    const whole = new Map();
    const last = new Map();
    const intactNames = new Set();
    for (const [position, commit] of commits.entries()) {
        if (!commit.complete)
            verdict.partial++;
        else if (commit.entries.length === 0)
            verdict.empty++;
        const found = new Set();
        let intact = 0;
        for (const entry of commit.entries) {
            const archive = archiveOf(entry.name);
            const sent = archive !== undefined && archive < archives ? plannedOf(archive).get(entry.name) : undefined;
            if (archive !== undefined && sent) {
                found.add(archive);
                last.set(archive, position);
            }
            // Of a partial commit the last entry may be cut: its beginning must be right all the same.
            const cut = !commit.complete && entry.declared !== undefined && entry.size < entry.declared;
            const size = sent && cut && entry.declared === sent.size ? entry.size : sent?.size;
            if (!sent || entry.size !== size || entry.hash !== plan.hash(sent, size)) {
                if (commit.complete)
                    verdict.corrupt++;
                else
                    verdict.corruptInPartial++;
            }
            else if (commit.complete) {
                intact++;
                intactNames.add(entry.name);
            }
        }
        if (!commit.complete || found.size === 0)
            continue;
        if (found.size > 1)
            verdict.mixed++;
        const [archive] = found;
        if (archive === undefined)
            continue;
        const entries = plannedOf(archive);
        if (found.size === 1 && intact === entries.size && commit.entries.length === entries.size) {
            whole.set(archive, (whole.get(archive) ?? 0) + 1);
        }
        else {
            verdict.fragments++;
        }
    }
    const delivered = new Map();
    for (const word of told) {
        if (word.outcome === 'delivered')
            delivered.set(word.archive, word);
    }
    verdict.delivered = delivered.size;
    verdict.rejected = new Set(told.filter((w) => !delivered.has(w.archive)).map((w) => w.archive)).size;
    verdict.untold = archives - verdict.delivered - verdict.rejected;
    let latest = -1;
    let attempts = 0;
    for (const [archive, word] of [...delivered].sort(([a], [b]) => a - b)) {
        attempts += word.attempts;
        verdict.attemptsMax = Math.max(verdict.attemptsMax, word.attempts);
        if (!whole.has(archive))
            verdict.lost++;
        for (const name of plannedOf(archive).keys())
            if (!intactNames.has(name))
                verdict.entriesLost++;
        const position = last.get(archive);
        if (position === undefined)
            continue;
        if (position < latest)
            verdict.disordered++;
        latest = Math.max(latest, position);
    }
    verdict.attemptsMean = delivered.size ? attempts / delivered.size : 0;
    for (const count of whole.values())
        verdict.duplicates += count - 1;
    return verdict;
}
/** What a spout promises, as far as a verdict breaks it; empty where the promise is kept. */
export function brokenPromises(verdict, { mayLose, mayReject }) {
    const promised = ['corrupt', 'mixed', 'disordered', 'untold'];
    if (!mayLose)
        promised.push('lost', 'entriesLost');
    if (!mayReject)
        promised.push('rejected');
    return promised.filter((name) => verdict[name] > 0).map((name) => `${name} ${verdict[name]}`);
}
