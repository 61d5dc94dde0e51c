import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { checkpointText, readCheckpoint } from './checkpoint.js';
import {
  consistencyProof,
  EMPTY_ROOT,
  inclusionProof,
  isConsistent,
  leafHash,
  nodeHash,
  rootByInclusion,
  rootOver,
} from './merkle.js';
import { noteSigner, noteVerifier, signingKeyText } from './note.js';
import { decodeBundle, encodeBundle, rangeHashes, tilePath, TileTree, widthIn } from './tiles.js';

/** RFC 6962 as it is written, without any cleverness: what the tiles are held against. */
function plainRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return createHash('sha256').digest();
  const [only] = leaves;
  if (leaves.length === 1 && only !== undefined) return leafHash(only);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return nodeHash(plainRoot(leaves.slice(0, k)), plainRoot(leaves.slice(k)));
}

const leafOf = (n: number): Buffer => Buffer.from(`leaf ${n}`);
const leavesOf = (count: number): readonly Buffer[] => Array.from({ length: count }, (_, n) => leafOf(n));

/** A tree grown in some steps, its tiles by path as somebody would store them. */
function grown(size: number, steps: readonly number[]): { tree: TileTree; tiles: Map<string, Buffer> } {
  const tree = new TileTree();
  const tiles = new Map<string, Buffer>();
  const hashes = leavesOf(size).map(leafHash);
  let at = 0;
  for (const end of [...steps, size].sort((a, b) => a - b)) {
    for (const { level, index, width, bytes } of [...tree.append(hashes.slice(at, end)), ...tree.partials()])
      tiles.set(tilePath(level, index, width), bytes);
    at = Math.max(at, end);
  }
  return { tree, tiles };
}

const reader =
  (tiles: ReadonlyMap<string, Buffer>) =>
  (path: string): Promise<Buffer> => {
    const tile = tiles.get(path);
    return tile === undefined ? Promise.reject(new Error(`no ${path}`)) : Promise.resolve(tile);
  };

describe('the tree', () => {
  // The published test vectors of the Certificate Transparency reference implementation.
  const vector = [
    '',
    '00',
    '10',
    '2021',
    '3031',
    '40414243',
    '5051525354555657',
    '606162636465666768696a6b6c6d6e6f',
  ].map((hex) => Buffer.from(hex, 'hex'));
  const roots = [
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ];

  it('has the roots of the published vectors', () => {
    const tree = new TileTree();
    expect(tree.root()).toEqual(EMPTY_ROOT);
    vector.forEach((leaf, at) => {
      tree.append([leafHash(leaf)]);
      expect(tree.root().toString('hex')).toBe(roots[at]);
    });
  });

  it('has the root of RFC 6962 at every size, in whatever steps it grew, and after a restart from its edge', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_400 }), fc.array(fc.integer({ min: 0, max: 1_400 })), (size, cuts) => {
        const { tree } = grown(
          size,
          cuts.filter((cut) => cut <= size),
        );
        const expected = plainRoot(leavesOf(size));
        expect(tree.root().equals(expected)).toBe(true);
        expect(TileTree.at(size, tree.edge()).root().equals(expected)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('proves every leaf, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1_400 }), fc.nat(), fc.nat(), async (size, a, b) => {
        const [at, other] = [a % size, b % size];
        const { tree, tiles } = grown(size, []);
        const proof = await inclusionProof(at, size, rangeHashes(size, reader(tiles)));
        expect(rootByInclusion(at, size, leafHash(leafOf(at)), proof)).toEqual(tree.root());
        expect(rootByInclusion(at, size, leafHash(Buffer.from('edited')), proof)).not.toEqual(tree.root());
        if (other !== at) expect(rootByInclusion(other, size, leafHash(leafOf(at)), proof)).not.toEqual(tree.root());
        expect(rootByInclusion(at, size, leafHash(leafOf(at)), [...proof, EMPTY_ROOT])).not.toEqual(tree.root());
      }),
      { numRuns: 60 },
    );
  });

  it('proves that an older tree is its beginning, and that another one is not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1_400 }), fc.nat(), async (size, a) => {
        const first = 1 + (a % size);
        const { tree, tiles } = grown(size, []);
        const old = plainRoot(leavesOf(first));
        const proof = await consistencyProof(first, size, rangeHashes(size, reader(tiles)));
        expect(isConsistent(first, size, old, tree.root(), proof)).toBe(true);
        const forged = plainRoot([...leavesOf(first - 1), Buffer.from('edited')]);
        expect(isConsistent(first, size, forged, tree.root(), proof)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });
});

describe('tiles', () => {
  it('stand under the names of the format', () => {
    expect(tilePath(0, 0)).toBe('tile/0/000');
    expect(tilePath(1, 1_234_067, 12)).toBe('tile/1/x001/x234/067.p/12');
    expect(tilePath('entries', 999)).toBe('tile/entries/999');
    expect(tilePath('entries', 1_000)).toBe('tile/entries/x001/000');
  });

  it('never change their bytes under one name', () => {
    const seen = new Map<string, Buffer>();
    for (const steps of [[], [1, 2, 255, 256, 257], [100, 600], [256, 512, 1_000]]) {
      for (const [path, bytes] of grown(1_100, steps).tiles) {
        expect((seen.get(path) ?? bytes).equals(bytes)).toBe(true);
        seen.set(path, bytes);
      }
    }
    expect(widthIn(1_100, 0, 4)).toBe(76);
    expect([...seen.keys()]).toContain('tile/1/000.p/4');
  });

  it('hold leaves of any bytes in bundles, and refuse bytes that are none', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (leaves) => {
        expect(decodeBundle(encodeBundle(leaves))?.map((leaf) => [...leaf])).toEqual(leaves.map((leaf) => [...leaf]));
      }),
    );
    expect(decodeBundle(Buffer.from([0, 2, 1]))).toBeNull();
    expect(decodeBundle(Buffer.from([0]))).toBeNull();
    expect(() => encodeBundle([Buffer.alloc(65_536)])).toThrow(RangeError);
  });
});

describe('a checkpoint', () => {
  const key = signingKeyText('log.example/audit', Buffer.alloc(32, 7));
  const signer = noteSigner(key);
  const text = checkpointText({ origin: 'log.example/audit', size: 3, root: rootOver(leavesOf(3).map(leafHash)) });

  it('is signed, and read back', () => {
    const note = signer.sign(text);
    expect(noteVerifier(signer.verifier.text).isSigned(note)).toBe(true);
    expect(readCheckpoint(note)).toMatchObject({ origin: 'log.example/audit', size: 3 });
    // The same words are signed in the same way: a checkpoint that is made twice is one object.
    expect(signer.sign(text)).toBe(note);
  });

  it('is not taken with one byte changed, from another key, or without a signature', () => {
    const note = signer.sign(text);
    expect(signer.verifier.isSigned(note.replace('\n3\n', '\n4\n'))).toBe(false);
    expect(signer.verifier.isSigned(`${text}\n`)).toBe(false);
    const other = noteSigner(signingKeyText('log.example/audit', Buffer.alloc(32, 8)));
    expect(signer.verifier.isSigned(other.sign(text))).toBe(false);
  });

  it.each(['', 'PRIVATE+KEY+a+00000000+AAAA', key.replace('log', 'lag'), key.slice(0, -4)])(
    'is signed by no key like %j, and the refusal does not quote it',
    (broken) => {
      expect(() => noteSigner(broken)).toThrow(
        expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.not.stringContaining('PRIVATE') }),
      );
    },
  );
});

// The decoder of paths in tools that read such logs: three digits a group.
it('numbers of tiles beyond a thousand are cut in groups', () => {
  expect(tilePath(2, 70_000_001)).toBe('tile/2/x070/x000/001');
});
