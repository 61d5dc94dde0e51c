import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Case } from '../../src/modules/case-workbench/case.schema.js';
import { systemActor } from '../../src/rails/actor.js';
import { digestText } from '../../src/rails/digest.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { ANN, BOB, CaseRig, changed } from './case-workbench.rig.js';

/** One finding about many cases. */
export function bulkFindingSuite(open: () => Database): void {
  describe('a finding about many cases', () => {
    let rig: CaseRig;
    let run = 1_000;
    beforeEach(() => {
      run += 1;
      rig = new CaseRig(open(), run);
    });

    const openedMany = async (count: number): Promise<readonly Case[]> => {
      const { consumer, store } = rig.unit;
      const events = Array.from({ length: count }, (_, n) => rig.decided('QUEUE', `b-${rig.run}-${n}`));
      await consumer.take(rig.batchOf(0, ...events));
      const rows = await store.list({ limit: count, runId: rig.pins.run_id });
      return rows.map(({ value }) => value).reverse();
    };
    const asking = (cases: readonly { readonly case_id: string; readonly seen?: number }[], change: object = {}) => ({
      cases: cases.map(({ case_id, seen }) => ({ case_id, ...(seen === undefined ? {} : { expected_seq: seen }) })),
      disposition: 'FRAUD',
      reason: 'one ring',
      idempotency_key: `ring-${rig.run}`,
      ...change,
    });
    const decide = async (asked: object, by = ANN, unit = rig.unit) => await unit.bulk.decide(asked as never, by);

    it('is told to each case by itself, in order, and those that refuse say why', async () => {
      const [one, closed, seen, pending] = await openedMany(4);
      if (one === undefined || closed === undefined || seen === undefined || pending === undefined)
        throw new Error('four cases');
      await rig.does(closed, { type: 'CLOSE', reason: 'x' }, 'c');
      await rig.does(pending, { type: 'SET_DISPOSITION', disposition: 'SUSPECTED', reason: 'x' }, 'p');
      const unknown = { case_id: digestText('nobody') };
      const asked = asking([one, closed, { ...seen, seen: 7 }, unknown, pending]);
      const { outcome, results } = await decide(asked);
      expect(outcome).toBe('NEW');
      expect(results.map((result) => (result.outcome === 'DONE' ? 'DONE' : result.code))).toEqual([
        ...['DONE', 'CASE_CLOSED', 'CASE_GONE_ON', 'CASE_NOT_FOUND', 'CASE_LABEL_PENDING'],
      ]);
      expect(results.map(({ case_id }) => case_id)).toEqual(asked.cases.map(({ case_id }) => case_id));
      await rig.unit.job.submit();
      expect(await rig.unit.store.find(one.case_id)).toMatchObject({
        status: 'RESOLVED',
        disposition: { by: 'HUMAN::ann' },
      });
      expect(await rig.typesOf(closed)).toEqual(['CASE_TRIGGERED', 'CASE_CLOSED']);
    });

    it('is answered the same when it is sent again, also by another process, and after the cases have gone on', async () => {
      const [one, closed] = await openedMany(2);
      if (one === undefined || closed === undefined) throw new Error('two cases');
      await rig.does(closed, { type: 'CLOSE', reason: 'x' }, 'c');
      const asked = asking([one, closed]);
      const clicks = await Promise.all([decide(asked), decide(asked, ANN, rig.life()), decide(asked, ANN, rig.life())]);
      expect(clicks.filter(({ outcome }) => outcome === 'NEW')).toHaveLength(1);
      // Now it would be taken, and the answer that was given stands all the same.
      await rig.does(closed, { type: 'REOPEN', reason: 'x' }, 'r');
      const again = await decide(asked);
      for (const { results } of clicks) expect(results).toEqual(again.results);
      expect(again.outcome).toBe('DUPLICATE');
      expect(await rig.typesOf(one)).toEqual(['CASE_TRIGGERED', 'DISPOSITION_SET', 'LABEL_SUBMITTED']);
      expect(await rig.typesOf(closed)).toEqual(['CASE_TRIGGERED', 'CASE_CLOSED', 'CASE_REOPENED']);
      await expect(decide(asking([one], { reason: 'another' }))).rejects.toMatchObject({
        code: 'CASE_IDEMPOTENCY_CONFLICT',
      });
      // Somebody else with the same key asks for something else.
      await rig.unit.job.submit();
      expect(await decide(asking([one], { disposition: 'LEGITIMATE' }), BOB)).toMatchObject({
        outcome: 'NEW',
        results: [{ outcome: 'DONE' }],
      });
      await expect(decide(asked, systemActor('df'))).rejects.toMatchObject({ code: 'CASE_PERSON_NEEDED' });
    });

    it('takes as many statements for two hundred cases as for one', async () => {
      const cases = await openedMany(200);
      const counts: number[] = [];
      for (const some of [cases.slice(0, 1), cases]) {
        const counted = counting(rig.database);
        const key = { idempotency_key: `n-${some.length}`, disposition: 'INCONCLUSIVE' };
        const { results } = await decide(asking(some, key), ANN, rig.life(counted.database));
        expect(results.every(({ outcome }) => outcome === 'DONE')).toBe(true);
        counts.push(counted.statements());
      }
      expect(counts[1]).toBe(counts[0]);
    });

    it('cannot have its answers rewritten by the role that gives them', async () => {
      for (const statement of [`update bulk_findings set answers = '[]'`, 'delete from bulk_findings'])
        await expect(rig.database.query(statement)).rejects.toMatchObject({
          code: expect.stringMatching(/^DATABASE_/) as unknown,
        });
    });
  });
}

/** The database, with the statements of its transactions counted. */
function counting(database: Database): { readonly database: Database; readonly statements: () => number } {
  let statements = 0;
  const counted = changed(database, {
    transaction: async (work, options) =>
      await database.transaction(
        async (transaction) =>
          await work({
            schema: transaction.schema,
            afterCommit: (hook) => transaction.afterCommit(hook),
            query: async (statement, values) => {
              statements += 1;
              return await transaction.query(statement, values);
            },
          }),
        options,
      ),
  });
  return { database: counted, statements: () => statements };
}
