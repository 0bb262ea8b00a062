// A person with the existing client library, unmodified: REST through any edge, one socket at one edge.
import client from '@mattermost/client';
import WebSocket from 'ws';

const {Client4, WebSocketClient} = client;

// Node 20 lacks two globals that the library takes from the browser.
globalThis.WebSocket ??= WebSocket;
globalThis.CloseEvent ??= class extends Event {
    constructor(type, init) {
        super(type);
        Object.assign(this, init);
    }
};

// A browser sends a host's cookies to all of its ports, so somebody who moves to another edge brings
// along how far they have seen. Node's fetch has no cookies: this keeps that one, for each token.
const seen = new Map();
const bare = globalThis.fetch;
globalThis.fetch = async (url, options = {}) => {
    const who = options.headers?.Authorization ?? '';
    const headers = {...options.headers};
    if (seen.has(who)) {
        headers.Cookie = `NSPOSITION=${seen.get(who)}`;
    }
    const answer = await bare(url, {signal: AbortSignal.timeout(30_000), ...options, headers});
    for (const cookie of answer.headers.getSetCookie()) {
        const value = /^NSPOSITION=([^;]+)/.exec(cookie)?.[1];
        if (value) {
            seen.set(who, value);
        }
    }
    return answer;
};

export class Person {
    constructor(name, url) {
        this.name = name;
        this.home = this.at(url);
        this.events = [];
        this.closes = 0;
        this.waiting = new Set();
    }

    // at gives the client of this person at an edge; all share the token.
    at(url) {
        const c = new Client4();
        c.setUrl(url);
        c.setToken(this.home?.getToken() ?? '');
        return c;
    }

    async signUp() {
        const password = 'correct horse battery';
        await this.home.createUser({username: this.name, email: `${this.name}@example.com`, password}, '', '');
        this.me = await this.home.login(this.name, password);
        return this.me;
    }

    // connect opens the socket as bots do, with the token in the first message.
    async connect() {
        const url = this.home.getUrl().replace('http', 'ws') + '/api/v4/websocket';
        this.socket = new WebSocketClient({newWebSocketFn: (u) => new WebSocket(u)});
        this.socket.addMessageListener((m) => this.hear(m));
        this.socket.addMissedMessageListener(() => { this.closes++; });
        this.socket.addCloseListener(() => { this.closes++; });
        this.socket.initialize(url, this.home.getToken());
        await this.event((m) => m.event === 'hello');
    }

    hear(message) {
        this.events.push(message);
        for (const check of [...this.waiting]) {
            check();
        }
    }

    // until waits for the events heard so far to satisfy done.
    until(what, done, ms = 20_000) {
        return new Promise((resolve, reject) => {
            const check = () => {
                const got = done(this.events);
                if (got) {
                    clearTimeout(timer);
                    this.waiting.delete(check);
                    resolve(got);
                }
            };
            const timer = setTimeout(() => {
                this.waiting.delete(check);
                reject(new Error(`${this.name} waited ${ms} ms for ${what}`));
            }, ms);
            this.waiting.add(check);
            check();
        });
    }

    event(match, ms) {
        return this.until(`an event ${match}`, (all) => all.find(match), ms);
    }

    // posted gives the posts that the socket announced in a channel, in the order it did.
    posted(channel) {
        return this.events.filter((m) => m.event === 'posted').map((m) => JSON.parse(m.data.post)).filter((p) => p.channel_id === channel);
    }
}
