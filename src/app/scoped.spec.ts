import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { objectKey } from '../rails/ref.js';
import { SystemClock } from '../substrate/clock/system.clock.js';
import { FilesObjects } from '../substrate/objects/files.objects.js';
import { TEST_UNITS } from '../../test/program/table.js';
import { UnitObjects } from './scoped.js';

describe('what a unit may write', () => {
  let folder: string;
  let store: FilesObjects;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'probity-scoped-'));
    store = await FilesObjects.open(folder, new SystemClock());
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is its own prefixes; it reads what others wrote', async () => {
    const [ledger, teller] = TEST_UNITS.units.map((unit) => new UnitObjects(store, unit));
    if (ledger === undefined || teller === undefined) throw new Error('the test table has two units');
    const options = { mediaType: 'text/plain' };
    const { ref } = await teller.putIfAbsent(objectKey('teller/slip'), Buffer.from('x'), options);
    expect((await ledger.read(ref)).toString()).toBe('x');
    const refused = ledger.putIfAbsent(objectKey('teller/other'), Buffer.from('x'), options);
    await expect(refused).rejects.toThrow('unit ledger may not write object teller/other');
    expect(await store.head(objectKey('teller/other'))).toBeNull();
    // The prefix is a folder, not the beginning of a word.
    await expect(teller.putIfAbsent(objectKey('tellers/slip'), Buffer.from('x'), options)).rejects.toThrow(
      'may not write',
    );
  });
});
