import { beforeEach, describe, expect, it } from '@jest/globals';
import { checkpointPath } from '../../src/modules/decision-log-audit/audit-objects.js';
import type { AuditVerification } from '../../src/modules/decision-log-audit/audit-verification.service.js';
import { QuarantinedAnswer } from '../../src/modules/decision-log-audit/decision-log-audit.port.js';
import { digestText } from '../../src/rails/digest.js';
import { validatorOf } from '../../src/rails/validator.js';
import { objectKey } from '../../src/rails/ref.js';
import { readCheckpoint } from '../../src/rails/tlog/checkpoint.js';
import { leafHash, rootByInclusion } from '../../src/rails/tlog/merkle.js';
import { tilePath } from '../../src/rails/tlog/tiles.js';
import { verifyLog } from '../../src/rails/tlog/verify-log.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { eventually } from '../support/eventually.js';
import { dyingAfter, life, logsOf, SIGNER } from './decision-log-audit.kit.js';
import { batchOf, type Log, recordOf, runPins } from './feature-plane.kit.js';
import { decidedEvent } from './case-workbench.kit.js';

export interface Ground {
  readonly database: Database;
  readonly objects: Objects;
}

type Life = Awaited<ReturnType<typeof life>>;

/** @param fresh a database without a log and a store without objects; with `objects` a new database beside these */
export function decisionLogAuditSuite(fresh: (objects?: Objects) => Promise<Ground>): void {
  const PARTITIONS = 3;
  const RECORDS = 200;
  const logs = logsOf(PARTITIONS, RECORDS);
  let ground: Ground;

  beforeEach(async () => {
    ground = await fresh();
  });

  const open = (over: Ground = ground, topic: readonly Log[] = logs): Promise<Life> =>
    life(over.database, over.objects, topic);

  /** Delivers from where the unit's own store stands, partition by partition in the order given. */
  async function deliver({ consumer, store }: Life, order: readonly number[], records: number): Promise<void> {
    for (const at of order) {
      const log = logs[at];
      if (log === undefined) throw new Error('no such partition');
      const [position] = await store.positions([log]);
      await consumer.take(batchOf(log, position?.offset ?? 0, records));
    }
  }

  async function publishAll({ writer }: Life): Promise<void> {
    while ((await writer.publish()) > 0);
  }

  async function verified({ verifications }: Life): Promise<AuditVerification> {
    const { verification_id } = verifications.start();
    return await eventually(
      () => Promise.resolve(verifications.find(verification_id)),
      ({ state }) => state !== 'RUNNING',
    );
  }

  async function leavesOf({ store }: Life): Promise<readonly string[]> {
    const rows = await store.leaves({ limit: 100_000 });
    return rows.map(({ partition, record_offset }) => `${partition}/${record_offset}`).reverse();
  }

  const all = logs.flatMap(({ partition, records }) => records.map(({ offset }) => `${partition}/${offset}`)).sort();

  it('makes every record one leaf under signed checkpoints, and agrees with the bus', async () => {
    const unit = await open();
    for (let turn = 0; turn < 4; turn += 1) {
      await deliver(unit, [0, 1, 2], RECORDS / 4);
      await publishAll(unit);
    }
    expect((await leavesOf(unit)).toSorted()).toEqual(all);
    expect(await verified(unit)).toMatchObject({
      state: 'DONE',
      size: PARTITIONS * RECORDS,
      on_bus: PARTITIONS * RECORDS,
      checkpoints: 4,
      not_yet: 0,
      by_kind: { event: PARTITIONS * RECORDS },
    });
    expect(await unit.controller.status()).toMatchObject({ leaves: 600, signed: 600, by_kind: { event: 600 } });
  });

  it('proves that the checkpoint covers a record; another text, or another place, is not proven', async () => {
    const unit = await open();
    await deliver(unit, [0, 1, 2], RECORDS);
    await publishAll(unit);
    const checkpoint = readCheckpoint(await unit.controller.checkpoint());
    for (const leaf of [0, 255, 256, 431, 599]) {
      const { leaf_text, inclusion_proof, record } = await unit.controller.record(String(leaf));
      const proof = inclusion_proof.map((hash) => Buffer.from(hash, 'base64'));
      const rootFor = (text: string, at: number): Buffer | null =>
        rootByInclusion(at, checkpoint?.size ?? 0, leafHash(Buffer.from(text)), proof);
      expect(record).toEqual(JSON.parse(leaf_text));
      expect(rootFor(leaf_text, leaf)).toEqual(checkpoint?.root);
      expect(rootFor(leaf_text.replace('audit_record_id', 'audit_record_ie'), leaf)).not.toEqual(checkpoint?.root);
      expect(rootFor(leaf_text, (leaf + 1) % 600)).not.toEqual(checkpoint?.root);
    }
    await expect(unit.controller.record('600')).rejects.toThrow('DLA_RECORD_NOT_FOUND');
    await expect(unit.controller.record('-1')).rejects.toThrow('HTTP_REQUEST_INVALID');
  });

  it('passes over what was delivered before, in whatever order the partitions come after a crash', async () => {
    const first = await open();
    await deliver(first, [0, 1], 70);
    const [log] = logs;
    if (log === undefined) throw new Error('no log');
    await first.consumer.take(batchOf(log, 0, 70));
    await first.consumer.take(batchOf(log, 60, 70));
    // Nothing was published when the process ended; the next one meets the partitions in another order.
    const second = await open();
    await deliver(second, [2, 1, 0], RECORDS);
    await publishAll(second);
    expect((await leavesOf(second)).toSorted()).toEqual(all);
    expect(await verified(second)).toMatchObject({ state: 'DONE', on_bus: 600 });
  });

  it('goes on after a crash at any put: every checkpoint that was signed stays true', async () => {
    for (const puts of [0, 1, 2, 3, 4, 5, 6]) {
      const place = await fresh();
      const sound = await open(place);
      await deliver(sound, [0, 1], 50);
      await publishAll(sound);
      const dying = await open({ ...place, objects: dyingAfter(place.objects, puts) });
      await deliver(dying, [1, 0], 100);
      await publishAll(dying).catch((error: unknown) => {
        expect(String(error)).toContain('killed');
      });
      const after = await open(place);
      await deliver(after, [2, 0, 1], RECORDS);
      await publishAll(after);
      expect((await leavesOf(after)).toSorted()).toEqual(all);
      expect(await verified(after)).toMatchObject({ state: 'DONE', on_bus: 600 });
      expect((await verified(after)).fault).toBeUndefined();
    }
  });

  it('goes on when a checkpoint was signed and the database never heard of it', async () => {
    const first = await open();
    await deliver(first, [0], 90);
    first.store.published = () => Promise.reject(new Error('killed'));
    await expect(first.writer.publish()).rejects.toThrow('killed');
    const second = await open();
    await deliver(second, [0, 1, 2], RECORDS);
    await publishAll(second);
    const found = await verified(second);
    expect(found).toMatchObject({ state: 'DONE', size: 600, on_bus: 600 });
    expect(await second.files.checkpoint(90)).not.toBeNull();
    expect(found.checkpoints).toBe(2);
  });

  it('makes a dropped index again from the log, to the same answers, and goes on', async () => {
    const unit = await open();
    await deliver(unit, [0, 1, 2], 110);
    await publishAll(unit);
    const query = { limit: 1_000, entity: 'card-3' };
    const before = await unit.store.leaves(query);
    expect(before).toHaveLength(66);
    const beside = await fresh(ground.objects);
    const again = await open(beside);
    expect(await again.store.leaves(query)).toEqual(before);
    expect(await again.store.positions(logs)).toEqual(await unit.store.positions(logs));
    await deliver(again, [1, 2, 0], RECORDS);
    await publishAll(again);
    expect((await leavesOf(again)).toSorted()).toEqual(all);
    expect(await verified(again)).toMatchObject({ state: 'DONE', on_bus: 600 });
  });

  it('stops where other bytes stand, and overwrites nothing', async () => {
    const key = objectKey(`dla/audit/${tilePath('entries', 0, 40)}`);
    const { ref } = await ground.objects.putIfAbsent(key, Buffer.from('mine'), {
      mediaType: 'application/octet-stream',
    });
    const unit = await open();
    await deliver(unit, [0], 40);
    await expect(unit.writer.publish()).rejects.toThrow('DLA_LOG_FORKED');
    expect((await ground.objects.read(ref)).toString()).toBe('mine');
    await expect(unit.controller.checkpoint()).rejects.toThrow('DLA_LOG_EMPTY');
  });

  it('keeps what nobody can read as a leaf of its own, and goes on behind it', async () => {
    const poison = {
      ...logs[0],
      records: [recordOf('{"no":"event"}', 0), recordOf('\u0000', 1), ...(logs[0]?.records.slice(1, 3) ?? [])],
    } as Log;
    const unit = await open(ground, [poison]);
    await unit.consumer.take(batchOf(poison, 0, 10));
    await publishAll(unit);
    expect(await verified(unit)).toMatchObject({ state: 'DONE', on_bus: 4, by_kind: { quarantine: 2, event: 2 } });
    const { records } = await unit.controller.records('10', undefined, undefined, undefined, undefined, 'quarantine');
    expect(records.map(({ record_offset }) => record_offset)).toEqual([1, 0]);
    expect(unit.telemetry.lines().filter(({ event }) => event === 'dla_quarantined')).toHaveLength(2);
  });

  it('tells what it quarantined as the signed leaves say, page by page, and nothing that is not signed', async () => {
    const pins = runPins('quarantined');
    const decision = decidedEvent(
      pins,
      digestText('d'),
      { outcome: 'QUEUE', event: 'p-1' },
      { posture: { status: 'USED' } },
    );
    const lacking = { ...decision, parent_event_id: 'p-1' };
    const log = {
      ...logs[0],
      records: [recordOf('{"no":"event"}', 0), ...(logs[0]?.records.slice(1, 3) ?? []), recordOf(lacking, 5)],
    } as Log;
    const unit = await open(ground, [log]);
    await unit.consumer.take(batchOf(log, 0, 10));
    const ask = async (from_leaf: number, limit = 10) => await unit.service.quarantined({ from_leaf, limit });
    expect(await ask(0)).toEqual({ records: [], next_leaf: 0 });
    await publishAll(unit);
    const poison = {
      ...{ leaf: 0, reason_codes: ['MALFORMED_ENVELOPE'], pins: null, event_id: null, event_type: null },
      parent_event_id: null,
    };
    const told = { leaf: 3, reason_codes: ['INCOMPLETE_PROVENANCE'], pins, event_id: digestText('d') };
    const all = await ask(0);
    expect(all).toMatchObject({
      records: [poison, { ...told, event_type: 'decision', parent_event_id: 'p-1' }],
      next_leaf: 4,
    });
    expect(validatorOf(QuarantinedAnswer, 'the answer').check(JSON.parse(JSON.stringify(all)))).toMatchObject({
      ok: true,
    });
    const shown = (await unit.controller.record('3')).record as { audit_record_id: string };
    expect(all.records[1]?.audit_record_id).toBe(shown.audit_record_id);
    expect(await ask(0, 1)).toMatchObject({ records: [poison], next_leaf: 1 });
    expect(await ask(1, 1)).toMatchObject({ records: [told], next_leaf: 4 });
    expect(await ask(4)).toEqual({ records: [], next_leaf: 4 });
  });

  describe('a verification names', () => {
    async function logged(): Promise<Life> {
      const unit = await open();
      await deliver(unit, [0, 1, 2], RECORDS);
      await publishAll(unit);
      return unit;
    }
    const over = async (unit: Life, topic: readonly Log[]): Promise<AuditVerification> => {
      const other = await open(ground, topic);
      expect((await verified(unit)).fault).toBeUndefined();
      return await verified(other);
    };
    const changed = (records: Log['records']): readonly Log[] =>
      logs.map((log) => (log.partition === 1 ? { ...log, records } : log));
    const ofOne = logs[1]?.records ?? [];

    it('the leaf whose record was changed on the bus', async () => {
      const edited = ofOne.map((record) => (record.offset === 20 ? { ...record, value: Buffer.from('{}') } : record));
      const { fault } = await over(await logged(), changed(edited));
      expect(fault).toMatchObject({
        file: 'tile/entries/000',
        says: expect.stringContaining('record at fp.bus.traffic.v1/1/20'),
      });
    });

    it('the leaf whose record is gone from the bus', async () => {
      const { fault } = await over(await logged(), changed(ofOne.filter(({ offset }) => offset !== 20)));
      expect(fault?.says).toContain('is of fp.bus.traffic.v1/1/20, and the next record of the bus is at 22');
    });

    it('a record that was put between others', async () => {
      const more = [...ofOne, { ...recordOf('{}', 21), key: 'k' }].sort((a, b) => a.offset - b.offset);
      const { fault } = await over(await logged(), changed(more));
      expect(fault?.says).toContain('is of fp.bus.traffic.v1/1/22, and the next record of the bus is at 21');
    });

    it('how much came since', async () => {
      const unit = await logged();
      const more = [...ofOne, { ...recordOf('{}', 9_000), key: 'k' }];
      expect(await over(unit, changed(more))).toMatchObject({ state: 'DONE', on_bus: 600, not_yet: 1 });
    });
  });

  it('checks as a whole, and not when a file of another log is put in the place of one', async () => {
    const unit = await open();
    await deliver(unit, [0, 1, 2], RECORDS);
    await publishAll(unit);
    const note = { name: checkpointPath(600), note: await unit.controller.checkpoint() };
    const check = (swap: ReadonlyMap<string, string>) =>
      verifyLog({
        files: { read: (path) => unit.files.read(swap.get(path) ?? path) },
        verifier: SIGNER.verifier,
        notes: [note],
      });
    expect(await check(new Map())).toEqual({ size: 600, checkpoints: 1 });
    const swapped = await check(new Map([['tile/entries/000', 'tile/entries/001']]));
    expect(swapped.fault).toEqual({
      file: 'tile/entries/000',
      says: 'leaf 0 is not the one that the tree was made of',
    });
    const tile = await check(new Map([['tile/1/000.p/2', 'tile/0/000']]));
    expect(tile.fault).toMatchObject({ file: 'tile/1/000.p/2' });
  });
}
