// A PNG of the given size in one colour, made by hand so that no test needs a library for it.
import zlib from 'node:zlib';

function chunk(type, data) {
    const body = Buffer.concat([Buffer.from(type), data]);
    const size = Buffer.alloc(4);
    size.writeUInt32BE(data.length);
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc(body));
    return Buffer.concat([size, body, sum]);
}

// crc is zlib's, which Node has from 22.2 on.
function crc(bytes) {
    if (zlib.crc32) {
        return zlib.crc32(bytes);
    }
    let c = 0xffffffff;
    for (const b of bytes) {
        c ^= b;
        for (let k = 0; k < 8; k++) {
            c = (c >>> 1) ^ (c & 1 ? 0xedb88320 : 0);
        }
    }
    return (c ^ 0xffffffff) >>> 0;
}

export function picture(width, height, [red, green, blue]) {
    const head = Buffer.alloc(13);
    head.writeUInt32BE(width, 0);
    head.writeUInt32BE(height, 4);
    head.set([8, 2, 0, 0, 0], 8); // eight bits of each of three colours
    const row = Buffer.concat([Buffer.from([0]), ...Array(width).fill(Buffer.from([red, green, blue]))]);
    return Buffer.concat([
        Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
        chunk('IHDR', head), chunk('IDAT', zlib.deflateSync(Buffer.concat(Array(height).fill(row)))), chunk('IEND', Buffer.alloc(0)),
    ]);
}
