import { LabelSchema } from '../../rails/events/label.schema.js';
import { readEvent } from '../../rails/events/read-event.js';
import type { FeatureEvent } from '../../rails/features/event-table.js';
import { FeatureState } from '../../rails/features/feature-state.js';
import { amountsOf, hasItsNumbers, keepLabel, type KeptLabel, restoreLabel } from '../../rails/features/kept.js';
import { labelFactOf } from '../../rails/features/label-table.js';
import { snapshotOf } from '../../rails/features/snapshot.js';
import { validatorOf } from '../../rails/validator.js';
import type { BuildJob, ShareResult } from './build-job.js';
import { Share } from './evaluate.js';
import { mergedLines, SortedRuns } from './sorted-runs.js';
import { SpoolCursor } from './spool.js';

const labels = validatorOf(LabelSchema, 'the label');

type EventLine = readonly [
  FeatureEvent['eventId'],
  FeatureEvent['eventType'],
  number,
  FeatureEvent['offset'],
  FeatureEvent['payload'],
];
type Line = readonly ['label', KeptLabel] | readonly ['event', EventLine];

/** A run without decisions has no bases: its events and labels are put in the order of time, labels before events of one moment. */
export async function timelineOf({ folder, traffic, control, pins }: BuildJob): Promise<readonly string[]> {
  const runs = new SortedRuns(folder, 'timeline');
  const add = async (ts: number, id: string, line: Line): Promise<void> => {
    if (runs.add({ ts, id, text: JSON.stringify(line) })) await runs.flush();
  };
  for (const partition of control)
    for (const { record, event } of eventsOf(folder, 'facts', partition, pins.run_id)) {
      const checked = labels.check(event.payload);
      const fact = checked.ok ? labelFactOf(checked.value, { partition, offset: record.offset }) : null;
      if (fact !== null) await add(fact.observed, '', ['label', keepLabel(fact)]);
    }
  for (const partition of traffic)
    for (const { record, event } of eventsOf(folder, 'events', partition, pins.run_id)) {
      const { eventId, eventType, ts, payload } = event;
      await add(ts, eventId, ['event', [eventId, eventType, partition, record.offset, payload]]);
    }
  await runs.flush();
  return runs.files;
}

function* eventsOf(folder: string, kind: 'facts' | 'events', partition: number, runId: string) {
  const cursor = new SpoolCursor(folder, kind, partition);
  for (let record = cursor.head; record !== undefined; record = cursor.head) {
    cursor.skip();
    const read = readEvent(record.value);
    if (read.ok && 'run_id' in read.event.pins && read.event.pins.run_id === runId) yield { record, event: read.event };
  }
  cursor.close();
}

/** Rows of a run that nobody decided: each with the state of all events strictly before it in (time, id), and of the labels observed until then. */
export async function evaluateUndecided(job: BuildJob): Promise<ShareResult> {
  const share = new Share(job);
  const amounts = amountsOf(share.plan);
  const state = new FeatureState(share.plan);
  const groups = new Set(job.groups);
  let payments = 0;
  for await (const page of mergedLines(job.timeline)) {
    for (const { ts, text } of page) {
      const line = JSON.parse(text) as Line;
      if (line[0] === 'label') {
        state.applyLabels([restoreLabel(line[1])]);
        continue;
      }
      const [eventId, eventType, partition, offset, payload] = line[1];
      const event = { eventId, eventType, ts: ts as FeatureEvent['ts'], partition, offset, payload };
      if (share.isRow(event) && share.isOwn(eventId)) {
        payments += 1;
        const values = state.snapshot(event, groups);
        const { feature_snapshot_hash: hash } = snapshotOf({
          pins: share.job.pins,
          trigger: event,
          definitions: share.job.definitions.policy_rev,
          groups: values,
          inputBasis: share.job.basis,
        });
        share.add(event, values, { decisionId: null, status: 'REBUILT', hash });
      }
      if (hasItsNumbers(amounts, event)) state.apply([event]);
    }
    // A page of the timeline is a tenth of a page of rows.
    if (share.runs.isFull) await share.runs.flush();
  }
  return await share.result(payments);
}
