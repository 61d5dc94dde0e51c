import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { objectKey } from '../rails/ref.js';
import { asTopicName, type Offset } from '../rails/eb-ref.js';
import type { Bus, Position } from '../substrate/bus/bus.port.js';
import { SystemClock } from '../substrate/clock/system.clock.js';
import { FilesObjects } from '../substrate/objects/files.objects.js';
import { TEST_UNITS } from '../../test/program/table.js';
import { UnitBus, UnitObjects } from './scoped.js';

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

  it('is trimmed by the one whose row names the topic alone', async () => {
    const [unit] = TEST_UNITS.units;
    if (unit === undefined) throw new Error('the test table has units');
    const trimmed: Position[] = [];
    const bus = {
      trim: (position: Position) => {
        trimmed.push(position);
        return Promise.resolve();
      },
    } as unknown as Bus;
    const at = { topic: asTopicName('test.deposits.v1'), partition: 0, offset: 3 as Offset };
    await expect(new UnitBus(bus, unit).trim(at)).rejects.toThrow('may not trim test.deposits.v1');
    await new UnitBus(bus, { ...unit, trims: ['test.deposits.v1'] }).trim(at);
    expect(trimmed).toEqual([at]);
  });
});
