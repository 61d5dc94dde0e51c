import { beforeEach, describe, expect, it } from '@jest/globals';
import { caseOf } from '../../src/modules/case-workbench/case.core.js';
import type { CaseFilter, ExportedCase } from '../../src/modules/case-workbench/case-export.core.js';
import type { Format } from '../../src/modules/case-workbench/case-export.js';
import { ENTRIES_LOCK } from '../../src/modules/case-workbench/case-workbench.store.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import type { Principal } from '../../src/substrate/identity/identity.port.js';
import { eventually } from '../support/eventually.js';
import { ANN, BOB, CaseRig, changed } from './case-workbench.rig.js';

const EXPORTER: Principal = { actor: ANN, keyId: 'ann', roles: ['exporter'] };
const LOOKER: Principal = { actor: BOB, keyId: 'bob', roles: ['looker'] };

/** Cases as a file. */
export function caseExportSuite(open: () => Database): void {
  describe('an export', () => {
    let rig: CaseRig;
    let run = 5_000;

    beforeEach(() => {
      rig = new CaseRig(open(), (run += 1));
    });

    const opens = async (count: number): Promise<void> => {
      const events = Array.from({ length: count }, (_, n) => rig.decided('QUEUE', `x-${n}`));
      await rig.unit.consumer.take(rig.batchOf(0, ...events));
    };
    const begun = async (filter: CaseFilter = {}, format: Format = 'ndjson', by = EXPORTER, unit = rig.unit) =>
      await unit.exporter.begin(
        { filter: { runId: rig.pins.run_id, ...filter }, format, purpose: 'yearly review' },
        by,
      );
    const whole = async (pieces: AsyncIterable<string>): Promise<string> => {
      let text = '';
      for await (const piece of pieces) text += piece;
      return text;
    };
    const linesOf = (text: string): readonly ExportedCase[] =>
      text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as ExportedCase);

    it('has each case with the entries that make it, youngest first, and filters as the list does', async () => {
      await opens(3);
      const rows = (await rig.unit.store.list({ limit: 10, runId: rig.pins.run_id })).map(({ value }) => value);
      const [young, middle] = rows;
      if (young === undefined || middle === undefined) throw new Error('three cases');
      await rig.does(young, { type: 'NOTE', text: 'says "no",\nand more' }, 'n');
      await rig.does(middle, { type: 'ASSIGN', to: 'HUMAN::ann' }, 'a');
      const lines = linesOf(await whole(await begun()));
      expect(lines.map((line) => line.case)).toEqual(
        (await rig.unit.store.list({ limit: 10, runId: rig.pins.run_id })).map(({ value }) => value),
      );
      for (const { case: found, timeline } of lines) expect(caseOf(found, timeline)).toEqual(found);
      const ids = async (filter: CaseFilter) =>
        linesOf(await whole(await begun(filter))).map((line) => line.case.case_id);
      expect(await ids({ assignee: 'HUMAN::ann' })).toEqual([middle.case_id]);
      expect(await ids({ status: 'NEW' })).toEqual([rows[2]?.case_id]);
      expect(await ids({ queue: 'fraud' })).toEqual([]);
      const csv = (await whole(await begun({}, 'csv'))).split('\r\n');
      expect(csv).toHaveLength(5);
      expect(csv[0]).toMatch(/^case_id,run_id,subject_event_id,status,/);
      expect(csv[2]).toContain(`${middle.case_id},${rig.pins.run_id},${middle.subject_event_id},IN_PROGRESS,review,`);
    });

    it('and the stream of changes wait for entries under way: a number that commits late is not passed by', async () => {
      const { store } = rig.unit;
      const database = open();
      const before = (await store.changes(0, 10_000)).at(-1)?.number ?? 0;
      let underWay = (): void => undefined;
      let mayCommit = (): void => undefined;
      const begun = new Promise<void>((resolve) => (underWay = resolve));
      const released = new Promise<void>((resolve) => (mayCommit = resolve));
      const late = database.transaction(async (transaction) => {
        await transaction.query(`select pg_advisory_xact_lock_shared(${ENTRIES_LOCK})`);
        underWay();
        await released;
      });
      await begun;
      await opens(1);
      let told = false;
      const asked = store.changes(before, 10).then((rows) => {
        told = true;
        return rows;
      });
      const waiting = async (): Promise<boolean> => {
        const text = `select 1 from pg_locks where locktype = 'advisory' and not granted and pid <> pg_backend_pid()`;
        return told || (await database.query({ text, readOnly: true })).count > 0;
      };
      await eventually(waiting, Boolean, 20_000);
      expect(told).toBe(false);
      mayCommit();
      await late;
      expect((await asked).map(({ event }) => event.type)).toEqual(['CASE_TRIGGERED']);
    });

    it('is of one moment over all its pages, whatever people do meanwhile', async () => {
      await opens(450);
      const pieces = (await begun())[Symbol.asyncIterator]();
      const first = await pieces.next();
      // Behind the first page: a case that it has not come to is closed, and another one is opened.
      const last = (await rig.unit.store.list({ limit: 500, runId: rig.pins.run_id })).at(-1)?.value;
      if (last === undefined) throw new Error('no case');
      await rig.does(last, { type: 'CLOSE', reason: 'meanwhile' }, 'c');
      await rig.opened('late', 'late');
      let text = first.done === true ? '' : first.value;
      for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) text += next.value;
      const lines = linesOf(text);
      expect(lines).toHaveLength(450);
      expect(new Set(lines.map((line) => line.case.status))).toEqual(new Set(['NEW']));
      // The twin: begun now, it has both.
      const later = linesOf(await whole(await begun()));
      expect(later).toHaveLength(451);
      expect(later.at(-1)?.case.status).toBe('CLOSED');
    });

    it('waits for entries that are being written, so that its moment has all of them', async () => {
      await opens(1);
      const [row] = await rig.unit.store.list({ limit: 1, runId: rig.pins.run_id });
      if (row === undefined) throw new Error('no case');
      let finish = (): void => undefined;
      const held = new Promise<void>((resolve) => (finish = resolve));
      const entered = new Promise<void>((resolve) => {
        const slow = changed(rig.database, {
          transaction: async (work, options) =>
            await rig.database.transaction(async (transaction) => {
              const result = await work(transaction);
              resolve();
              await held;
              return result;
            }, options),
        });
        void rig
          .life(slow)
          .service.command(row.value.case_id, { command: { type: 'NOTE', text: 'slow' }, idempotency_key: 's' }, ANN);
      });
      await entered;
      const beginning = begun();
      const waiting = `select 1 from pg_locks where locktype = 'advisory' and classid = 1667330917 and not granted`;
      await eventually(
        async () => (await rig.database.query(waiting)).count,
        (count) => count > 0,
        10_000,
      );
      finish();
      const [line] = linesOf(await whole(await beginning));
      expect(line?.timeline.map(({ type }) => type)).toEqual(['CASE_TRIGGERED', 'NOTE_ADDED']);
    });

    it('is told with who, which and what for before a byte leaves, also where it is refused', async () => {
      await opens(1);
      await begun({ status: 'NEW' }, 'csv');
      await expect(begun({}, 'ndjson', LOOKER)).rejects.toMatchObject({ code: 'AUTHZ_DENIED' });
      const told = await rig.unit.exporter.exports(2);
      expect(told).toMatchObject([
        { actor_id: 'HUMAN::bob', outcome: 'REFUSED', code: 'AUTHZ_DENIED', purpose: 'yearly review' },
        {
          actor_id: 'HUMAN::ann',
          outcome: 'GIVEN',
          code: null,
          format: 'csv',
          filters: { status: 'NEW', runId: rig.pins.run_id },
        },
      ]);
      const away = (): Promise<never> => Promise.reject(new ProbityError('DATABASE_UNAVAILABLE', 'away'));
      const mute = changed(rig.database, { query: away });
      await expect(begun({}, 'csv', EXPORTER, rig.life(mute))).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
      await expect(rig.database.query('delete from exports')).rejects.toMatchObject({
        code: expect.stringMatching(/^DATABASE_/) as unknown,
      });
    });
  });
}
