import { beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { Case, Evidence } from '../../src/modules/case-workbench/case.schema.js';
import { digestBytes, digestText } from '../../src/rails/digest.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { objectKey, type Ref } from '../../src/rails/ref.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import type { Principal } from '../../src/substrate/identity/identity.port.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { ANN, BOB, CaseRig, changed } from './case-workbench.rig.js';

const READER: Principal = { actor: ANN, keyId: 'ann', roles: ['reader'] };
const LOOKER: Principal = { actor: BOB, keyId: 'bob', roles: ['looker'] };

/** Evidence that is read through its case, and the records of who did. */
export function caseEvidenceSuite(open: () => { readonly database: Database; readonly objects: Objects }): void {
  describe('evidence', () => {
    let rig: CaseRig;
    let run = 3_000;
    let found: Case;

    beforeEach(async () => {
      const { database, objects } = open();
      rig = new CaseRig(database, (run += 1), objects);
      await rig.unit.consumer.take(rig.batchOf(0, rig.decides(`v-${run}`)));
      const [row] = await rig.unit.store.list({ limit: 1, runId: rig.pins.run_id });
      if (row === undefined) throw new Error('no case');
      found = row.value;
    });

    const attached = async (evidence: Evidence): Promise<number> => {
      const { case: then } = await rig.does(found, { type: 'ATTACH_EVIDENCE', evidence }, `at-${evidence.id}`);
      return then.evidence.length;
    };
    const stored = async (folder: string, bytes: Buffer): Promise<Ref> => {
      const key = objectKey(`${folder}${randomBytes(8).toString('hex')}.ndjson`);
      const { ref } = await open().objects.putIfAbsent(key, bytes, { mediaType: 'application/x-ndjson' });
      return ref;
    };
    const read = async (place: number, by = READER) =>
      await rig.unit.evidence.read(found.case_id, place, 'the customer asked', by);
    const told = async () =>
      (await rig.unit.evidence.reads(found.case_id, 50)).map(({ place, actor_id, outcome, code, purpose }) => [
        ...[place, actor_id, outcome, code, purpose],
      ]);

    it('is given as it was put, and as it was admitted, and each reading is told', async () => {
      const bytes = Buffer.from('{"amount_minor":1}\n');
      const ref = await stored('ig/quarantine/', bytes);
      const place = await attached({ kind: 'OBJECT', id: ref.locator, ref });
      expect(place).toBe(3);
      expect(await read(3)).toMatchObject({ bytes, digest: digestBytes(bytes) });
      const event = await read(2);
      expect(JSON.parse(Buffer.from(event.bytes).toString('utf8'))).toMatchObject({
        event_id: `v-${run}`,
        payload: { card_id: 'card-1' },
      });
      expect(await told()).toEqual([
        [2, 'HUMAN::ann', 'GIVEN', null, 'the customer asked'],
        [3, 'HUMAN::ann', 'GIVEN', null, 'the customer asked'],
      ]);
      for (const statement of [`update evidence_reads set purpose = 'x'`, 'delete from evidence_reads'])
        await expect(rig.database.query(statement)).rejects.toMatchObject({
          code: expect.stringMatching(/^DATABASE_/) as unknown,
        });
    });

    it('is refused by name where a byte is another one, in the store or on the bus, and the try is told', async () => {
      const ref = await stored('ig/quarantine/', Buffer.from('true'));
      const forged: Ref = { ...ref, digest: { algo: 'sha256', hex: digestText('false') } };
      await attached({ kind: 'OBJECT', id: ref.locator, ref: forged });
      await expect(read(3)).rejects.toMatchObject({ code: 'OBJECTS_DIGEST_MISMATCH' });
      const record = rig.standing.get(`v-${run}`);
      if (record === undefined) throw new Error('no record');
      rig.standing.set(`v-${run}`, { ...record, receipt: { ...record.receipt, payload_hash: digestText('another') } });
      await expect(read(2)).rejects.toMatchObject({ code: 'CASE_EVIDENCE_TAMPERED' });
      expect((await told()).map(([place, , outcome, code]) => [place, outcome, code])).toEqual([
        [2, 'REFUSED', 'CASE_EVIDENCE_TAMPERED'],
        [3, 'REFUSED', 'OBJECTS_DIGEST_MISMATCH'],
      ]);
    });

    it('is given to nobody without the permission, and the try is told', async () => {
      await expect(read(2, LOOKER)).rejects.toMatchObject({ code: 'AUTHZ_DENIED' });
      await expect(read(9)).rejects.toMatchObject({ code: 'CASE_EVIDENCE_UNKNOWN' });
      await expect(rig.unit.evidence.read(digestText('none'), 1, 'x', READER)).rejects.toMatchObject({
        code: 'CASE_NOT_FOUND',
      });
      expect((await told()).map(([place, who, , code]) => [place, who, code])).toEqual([
        [9, 'HUMAN::ann', 'CASE_EVIDENCE_UNKNOWN'],
        [2, 'HUMAN::bob', 'AUTHZ_DENIED'],
      ]);
    });

    it('is nothing that the policy keeps from people, that is of another run, or that stands outside', async () => {
      const truth = await stored('engine/', Buffer.from('who did it'));
      const asks = async (evidence: Evidence) =>
        await rig.does(found, { type: 'ATTACH_EVIDENCE', evidence }, evidence.id);
      await expect(asks({ kind: 'OBJECT', id: truth.locator, ref: truth })).rejects.toMatchObject({
        code: 'CASE_EVIDENCE_FORBIDDEN',
      });
      await expect(asks({ kind: 'OBJECT', id: 'ig/quarantine/x', ref: truth })).rejects.toMatchObject({
        code: 'CASE_EVIDENCE_INVALID',
      });
      await expect(asks({ kind: 'OBJECT', id: 'ig/quarantine/x' })).rejects.toMatchObject({
        code: 'CASE_EVIDENCE_INVALID',
      });
      const other = new CaseRig(rig.database, run + 500);
      other.decides('foreign');
      const place = await attached({ kind: 'EVENT', id: 'foreign' });
      rig.standing.set('foreign', other.standing.get('foreign') as never);
      await expect(read(place)).rejects.toMatchObject({ code: 'CASE_EVIDENCE_UNAVAILABLE' });
      await expect(read(await attached({ kind: 'EXTERNAL_REF', id: 'mail 7' }))).rejects.toMatchObject({
        code: 'CASE_EVIDENCE_ELSEWHERE',
      });
    });

    it('does not leave where its reading cannot be written down', async () => {
      const unit = rig.life(mute(rig.database));
      await expect(unit.evidence.read(found.case_id, 2, 'x', READER)).rejects.toMatchObject({
        code: 'DATABASE_UNAVAILABLE',
      });
      expect(await told()).toEqual([]);
    });
  });
}

/** A database that takes no record of readings. */
function mute(database: Database): Database {
  return changed(database, {
    query: async (statement, values) => {
      const text = typeof statement === 'string' ? statement : statement.text;
      if (text.includes('insert into evidence_reads')) throw new ProbityError('DATABASE_UNAVAILABLE', 'away');
      return await database.query(statement, values);
    },
  });
}
