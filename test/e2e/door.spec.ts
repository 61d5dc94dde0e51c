import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunFactsView, RunStatus } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { Door, importedRun } from '../support/door.js';
import { handbookFile } from '../support/handbook-file.js';

const ROWS = 4_000;

/** A user's file on its way through four processes of one role each: each row counted once, the labels kept apart. */
describe('a file through engine, sr, wsp and ig, each in a process of its own', () => {
  let door: Door;
  let run: RunStatus;

  beforeAll(async () => {
    door = await Door.open('embedded');
    run = await importedRun(door, handbookFile(ROWS, 7), 'door');
    run = await door.settled(run.run_id);
  }, 90_000);
  afterAll(() => door.close());

  it('is sealed and READY', async () => {
    expect(run).toMatchObject({ state: 'READY', reasons: [] });
    const facts = (await (await door.client('sr')).get(`/v1/runs/${run.run_id}/facts`)).body as RunFactsView;
    expect(facts.counts).toEqual({ rows_read: ROWS, rows_sealed: ROWS, rows_rejected: 0 });
    // The labels are sealed beside the traffic, and are no traffic.
    expect(facts.outputs.map(({ output_id, role }) => `${output_id} ${role}`).sort()).toEqual([
      'labels truth_products',
      'transactions business_traffic',
    ]);
    expect(facts.traffic).toEqual([{ event_type: 'transaction', schema_version: 'v1', output_id: 'transactions' }]);
  });

  it('is admitted whole, and ledger and bus agree', async () => {
    await door.stream(run.run_id);
    const stream = await door.streamed(run.run_id);
    expect(stream).toMatchObject({ state: 'COMPLETED', sent: ROWS, admitted: ROWS, duplicate: 0, quarantined: 0 });
    const reconciliation = await door.reconciled(run.run_id);
    expect(reconciliation).toMatchObject({ admitted: ROWS, on_bus: ROWS, quarantined: 0, reconciled: true });
  });

  it('is all duplicates when it is streamed again, and adds nothing', async () => {
    const before = await door.reconciled(run.run_id);
    await door.stream(run.run_id, { again: true });
    const stream = await door.streamed(run.run_id, 60_000, 2);
    expect(stream).toMatchObject({ state: 'COMPLETED', pass: 2, sent: ROWS, admitted: 0, duplicate: ROWS });
    const after = await door.reconciled(run.run_id);
    expect(after).toMatchObject({ on_bus: ROWS, set_digest: before.set_digest, reconciled: true });
  });
});
