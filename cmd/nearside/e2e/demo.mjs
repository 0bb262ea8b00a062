// A demo federation as real processes, for as long as a test needs it.
import {spawn} from 'node:child_process';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';

const READY_MS = 120_000;
const STOP_MS = 30_000;

const free = (port) => new Promise((done) => {
    const s = createServer();
    s.once('error', () => done(false));
    s.listen(port, '127.0.0.1', () => s.close(() => done(true)));
});

// consecutivePorts finds the first of n free ports in a row: the edges of a demo listen side by side.
async function consecutivePorts(n) {
    for (let tries = 0; tries < 100; tries++) {
        const first = 20_000 + Math.floor(Math.random() * 10_000);
        const each = await Promise.all(Array.from({length: n}, (_, i) => free(first + i)));
        if (each.every(Boolean)) {
            return first;
        }
    }
    throw new Error(`no ${n} free ports in a row on 127.0.0.1`);
}

// startDemo runs `nearside demo` and gives its nodes once it says that it is ready.
export async function startDemo(...flags) {
    const program = process.env.NEARSIDE;
    if (!program) {
        throw new Error('set NEARSIDE to the built program, as `make e2e` does');
    }
    const data = await mkdtemp(path.join(tmpdir(), 'nearside-e2e-'));
    const port = await consecutivePorts(3);
    const child = spawn(program, ['demo', '--data', data, '--listen', `127.0.0.1:${port}`, ...flags], {stdio: ['ignore', 'pipe', 'pipe']});
    let said = '';
    const exited = new Promise((done) => child.once('exit', (code, signal) => done({code, signal})));
    const ready = new Promise((done) => {
        const hear = (chunk) => {
            said += chunk;
            if (/^ready\b/m.test(said)) {
                done('ready');
            }
        };
        child.stdout.on('data', hear);
        child.stderr.on('data', (chunk) => { said += chunk; });
    });

    const stop = async () => {
        child.kill('SIGINT');
        const end = await Promise.race([exited, delay(STOP_MS, 'late', {ref: false})]);
        if (end === 'late') {
            child.kill('SIGKILL');
        }
        await rm(data, {recursive: true, force: true});
        return end;
    };

    const first = await Promise.race([ready, exited, delay(READY_MS, 'late', {ref: false})]);
    if (first !== 'ready') {
        await stop();
        throw new Error(`the demo did not become ready (${JSON.stringify(first)}); it said:\n${said}`);
    }
    const {nodes} = JSON.parse(await readFile(path.join(data, 'demo.json'), 'utf8'));
    return {nodes, edges: nodes.filter((n) => n.url), stop, said: () => said};
}

// statuses asks every node how far it is.
export const statuses = (nodes) => Promise.all(nodes.map(async (n) => {
    const answer = await fetch(`${n.admin_url}/v1/status`, {signal: AbortSignal.timeout(5_000)});
    return answer.json();
}));
