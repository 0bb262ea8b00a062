// Two people at two edges of a federation of real processes, with the real distances between them.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {setTimeout as delay} from 'node:timers/promises';

import {startDemo, statuses} from './demo.mjs';
import {Person} from './person.mjs';
import {picture} from './picture.mjs';

console.log = () => {}; // the library says when it connects

const EACH = 150; // posts that each of the two writes
const IN_FLIGHT = 8;

let demo, ada, bob, team, channel;

before(async () => {
    demo = await startDemo('--latency', 'real');
}, {timeout: 150_000});

after(async () => {
    ada?.socket?.close();
    bob?.socket?.close();
    const end = await demo?.stop();
    assert.equal(end?.code, 0, `the demo ends with 0, not ${JSON.stringify(end)}`);
}, {timeout: 60_000});

// everywhere gives a client of a person at every edge.
const everywhere = (person) => demo.edges.map((n) => person.at(n.url));

// page reads a whole channel, newest first, as a client pages through it.
async function wholeChannel(client) {
    const order = [];
    for (let page = 0; ; page++) {
        const list = await client.getPosts(channel.id, page, 100);
        order.push(...list.order.map((id) => list.posts[id]));
        if (list.order.length < 100) {
            return order;
        }
    }
}

// inParallel runs n jobs, a few at a time.
async function inParallel(n, job) {
    let next = 0;
    const worker = async () => {
        while (next < n) {
            await job(next++);
        }
    };
    await Promise.all(Array.from({length: IN_FLIGHT}, worker));
}

test('two people sign up at two edges and meet in a channel', async () => {
    assert.equal(demo.edges.length, 3);
    ada = new Person('ada', demo.edges[0].url);
    bob = new Person('bob', demo.edges[2].url);
    const first = await ada.signUp();
    assert.match(first.roles, /system_admin/, 'the first account is the administrator');
    const second = await bob.signUp();
    assert.equal(second.roles, 'system_user');

    team = await ada.home.createTeam({name: 'world', display_name: 'World', type: 'O'});
    await ada.home.addToTeam(team.id, bob.me.id);
    channel = await ada.home.createChannel({team_id: team.id, name: 'both', display_name: 'Both', type: 'O'});
    await ada.home.addToChannel(bob.me.id, channel.id);
    await Promise.all([ada.connect(), bob.connect()]);
});

test('hundreds of posts both ways come in one order, to both sockets and to every edge', async () => {
    const acknowledged = new Map();
    const write = (person) => inParallel(EACH, async (i) => {
        const message = `${person.name} ${i}`;
        const post = await person.home.createPost({channel_id: channel.id, message, pending_post_id: `${person.me.id}:${i}`});
        assert.equal(post.message, message);
        acknowledged.set(post.id, message);
    });
    await Promise.all([write(ada), write(bob)]);
    assert.equal(acknowledged.size, 2 * EACH, 'each post has an id of its own');

    const all = (events) => events.filter((m) => m.event === 'posted' && acknowledged.has(JSON.parse(m.data.post).id)).length >= acknowledged.size;
    await Promise.all([ada, bob].map((p) => p.until('every post', all, 60_000)));
    const heard = [ada, bob].map((p) => p.posted(channel.id).map((post) => post.id).filter((id) => acknowledged.has(id)));
    assert.deepEqual(heard[0], heard[1], 'both sockets hear one order');
    assert.equal(new Set(heard[0]).size, 2 * EACH, 'nothing is heard twice');

    for (const client of everywhere(ada)) {
        const posts = (await wholeChannel(client)).filter((p) => acknowledged.has(p.id)).reverse();
        assert.deepEqual(posts.map((p) => p.id), heard[0], `${client.getUrl()} shows the order of the sockets`);
        posts.forEach((p, i) => {
            assert.equal(p.message, acknowledged.get(p.id));
            assert.ok(i === 0 || p.create_at > posts[i - 1].create_at, 'create_at strictly increases');
        });
    }
});

test('a retried send finds the first one, even at another edge', async () => {
    const post = {channel_id: channel.id, message: 'once', pending_post_id: `${ada.me.id}:retry`};
    const first = await ada.home.createPost(post);
    const again = await ada.at(demo.edges[1].url).createPost(post);
    assert.equal(again.id, first.id);
});

test('replies, edits and deletes reach the other edge', async () => {
    const root = await ada.home.createPost({channel_id: channel.id, message: 'root'});
    await bob.event((m) => m.event === 'posted' && m.data.post.includes(root.id));
    const reply = await bob.home.createPost({channel_id: channel.id, root_id: root.id, message: 'reply'});
    await ada.event((m) => m.event === 'posted' && m.data.post.includes(reply.id));
    const thread = await ada.home.getPaginatedPostThread(root.id, {});
    assert.deepEqual(thread.order, [root.id, reply.id]);
    assert.equal(thread.posts[root.id].reply_count, 1);

    const edited = await ada.home.patchPost({id: root.id, message: 'root, edited'});
    assert.ok(edited.edit_at > 0);
    const heard = await bob.event((m) => m.event === 'post_edited' && m.data.post.includes(root.id));
    assert.equal(JSON.parse(heard.data.post).message, 'root, edited');

    await bob.home.deletePost(reply.id);
    await ada.event((m) => m.event === 'post_deleted' && m.data.post.includes(reply.id));
    const left = await ada.home.getPaginatedPostThread(root.id, {});
    assert.deepEqual(left.order, [root.id]);
});

test('typing is seen at the other edge', async () => {
    for (let tries = 0; tries < 10; tries++) { // a signal may be lost
        ada.socket.userTyping(channel.id, '');
        const heard = await bob.event((m) => m.event === 'typing' && m.data.user_id === ada.me.id, 1_000).catch(() => null);
        if (heard) {
            assert.equal(heard.broadcast.channel_id, channel.id);
            return;
        }
    }
    assert.fail('ten signals of typing, and none was seen');
});

test('preferences and memberships are announced', async () => {
    await bob.home.savePreferences(bob.me.id, [{user_id: bob.me.id, category: 'display_settings', name: 'use_military_time', value: 'true'}]);
    const heard = await bob.event((m) => m.event === 'preferences_changed' && m.data.preferences.includes('use_military_time'));
    assert.equal(heard.broadcast.user_id, bob.me.id);

    const other = await ada.home.createChannel({team_id: team.id, name: 'later', display_name: 'Later', type: 'O'});
    await ada.home.addToChannel(bob.me.id, other.id);
    await bob.event((m) => m.event === 'user_added' && m.broadcast.channel_id === other.id);
});

test('somebody who moves to another edge reads what they wrote', async () => {
    const clients = everywhere(ada);
    for (let i = 0; i < 15; i++) {
        const [here, there] = [clients[i % 3], clients[(i + 1) % 3]];
        const post = await here.createPost({channel_id: channel.id, message: `hop ${i}`});
        const list = await there.getPosts(channel.id, 0, 5);
        assert.ok(list.posts[post.id], `post ${i}, written at ${here.getUrl()}, is read at ${there.getUrl()}`);
        assert.equal((await there.getPost(post.id)).message, `hop ${i}`);
    }
});

// bytes reads an address as a browser does, with the session of a client.
async function bytes(client, url) {
    const answer = await fetch(url, {headers: {Authorization: `Bearer ${client.getToken()}`}});
    assert.equal(answer.status, 200, `${url}: ${answer.status}`);
    return {type: answer.headers.get('content-type'), etag: answer.headers.get('etag'), body: Buffer.from(await answer.arrayBuffer())};
}

test('a picture that one uploads is seen, small and whole, by the other at another edge', async () => {
    const png = picture(640, 480, [200, 30, 60]);
    const form = new FormData();
    form.append('channel_id', channel.id);
    form.append('client_ids', 'mine');
    form.append('files', new Blob([png]), 'sunset over Kraków.png');
    const uploaded = await ada.home.uploadFile(form);
    assert.deepEqual(uploaded.client_ids, ['mine']);
    const [file] = uploaded.file_infos;
    assert.equal(file.name, 'sunset over Kraków.png');
    assert.equal(file.size, png.length);
    assert.equal(file.width, 640);
    assert.equal(file.has_preview_image, true);
    assert.ok(file.mini_preview);

    const post = await ada.home.createPost({channel_id: channel.id, message: 'look', file_ids: [file.id]});
    assert.deepEqual(post.file_ids, [file.id]);
    const heard = await bob.event((m) => m.event === 'posted' && m.data.post.includes(post.id));
    assert.equal(JSON.parse(heard.data.post).metadata.files[0].id, file.id, 'the event brings what is needed to show the file');
    assert.equal(heard.data.image, 'true');

    const there = bob.home;
    assert.equal((await there.getFileInfosForPost(post.id))[0].post_id, post.id);
    const whole = await bytes(there, there.getFileUrl(file.id));
    assert.equal(whole.type, 'image/png');
    assert.ok(whole.body.equals(png), 'the bytes are those uploaded');
    for (const url of [there.getFileThumbnailUrl(file.id), there.getFilePreviewUrl(file.id)]) {
        const small = await bytes(there, url);
        assert.match(small.type, /^image\//);
    }
    const part = await fetch(there.getFileUrl(file.id), {headers: {Authorization: `Bearer ${there.getToken()}`, Range: 'bytes=1-3'}});
    assert.equal(part.status, 206);
    assert.equal(await part.text(), 'PNG');
    const found = await there.searchFiles(team.id, 'sunset', false);
    assert.deepEqual(found.order, [file.id]);

    const stranger = new Person('mallory', demo.edges[1].url);
    await stranger.signUp();
    const refused = await fetch(stranger.home.getFileUrl(file.id), {headers: {Authorization: `Bearer ${stranger.home.getToken()}`}});
    assert.equal(refused.status, 403, 'who is not in the channel sees nothing');
});

test('a new picture of somebody is seen at another edge', async () => {
    const before = await bytes(bob.home, bob.home.getProfilePictureUrl(ada.me.id));
    assert.equal(before.type, 'image/png');
    await ada.home.uploadProfileImage(ada.me.id, new Blob([picture(300, 200, [0, 90, 200])]));
    const heard = await bob.event((m) => m.event === 'user_updated' && m.data.user.id === ada.me.id);
    const stamp = heard.data.user.last_picture_update;
    const after = await bytes(bob.home, bob.home.getProfilePictureUrl(ada.me.id, stamp));
    assert.ok(!after.body.equals(before.body), 'it is another picture');
    await ada.home.setDefaultProfileImage(ada.me.id);
    await bob.event((m) => m.event === 'user_updated' && m.data.user.id === ada.me.id && m.data.user.last_picture_update > stamp);
    const again = await bytes(bob.home, bob.home.getProfilePictureUrl(ada.me.id, 1));
    assert.ok(again.body.equals(before.body), 'the initials are back');
});

test('a session that ends at one edge ends at all of them', async () => {
    const eve = new Person('eve', demo.edges[1].url);
    await eve.signUp();
    assert.equal((await eve.at(demo.edges[2].url).getMe()).username, 'eve', 'a fresh session holds at an edge that has not seen it');
    const elsewhere = eve.at(demo.edges[2].url);
    await eve.home.logout();
    for (const end = Date.now() + 10_000; ; await delay(50)) {
        const code = await elsewhere.getMe().then(() => 200, (err) => err.status_code);
        if (code === 401) {
            break;
        }
        assert.ok(Date.now() < end, `still ${code} after the session ended`);
    }
});

test('every replica comes to the same position and digest, and no socket was ever cut', async () => {
    for (const end = Date.now() + 20_000; ; await delay(100)) {
        const positions = new Set((await statuses(demo.nodes)).map((s) => JSON.stringify(s.position)));
        if (positions.size === 1) {
            break;
        }
        assert.ok(Date.now() < end, `positions still differ: ${[...positions].join(' ')}`);
    }
    assert.equal(ada.closes + bob.closes, 0);
});
