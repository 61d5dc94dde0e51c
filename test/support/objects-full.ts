import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BINARY,
  freshPrefix,
  keyUnder,
  noise,
  noiseStream,
  refusalCode,
} from '../../src/substrate/objects/contract/kit.js';
import { openStore, STORE_VARIABLE, type StoreSpec } from './objects-store.js';

/** The program of a child that puts more than there is room for, then something small, and tells what came of it. */
const spec = JSON.parse(process.env[STORE_VARIABLE] ?? '') as Extract<StoreSpec, { kind: 'files' }>;
const store = await openStore(spec);
const prefix = freshPrefix();

const codes = [
  await refusalCode(store.putIfAbsent(keyUnder(prefix, 'stream'), noiseStream(4_000_000), BINARY)),
  await refusalCode(store.putIfAbsent(keyUnder(prefix, 'bytes'), noise(4_000_000), BINARY)),
];
const { objects } = await store.list(prefix);
const names = await readdir(join(spec.folder, 'incoming'), { recursive: true });
const { outcome } = await store.putIfAbsent(keyUnder(prefix, 'bytes'), noise(1_000), BINARY);
await store.close();
process.stdout.write(
  JSON.stringify({
    codes,
    visible: objects,
    // The folders of realm and writer stay; a temporary file would be the third level.
    left: names.filter((name) => name.split('/').length > 2).length,
    after: outcome,
  }),
);
