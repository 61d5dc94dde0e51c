import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { AdmittedRecords } from '../../src/modules/case-workbench/admitted-records.js';
import { DecisionSources } from '../../src/modules/case-workbench/decision-sources.js';
import { canonicalJson } from '../../src/rails/canonical-json.js';
import { digestText } from '../../src/rails/digest.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { decidedEvent } from './case-workbench.kit.js';
import { pinsOf } from './label-store.kit.js';

const TOPIC = asTopicName('fp.bus.control.v1');

/** Where a decision stands on a bus, and what it was about. */
export function decisionSourcesSuite(open: () => Bus): void {
  describe('the event behind a decision', () => {
    const pins = pinsOf(1);
    const decided = (id: string, event: string): string =>
      canonicalJson(decidedEvent(pins, id, { outcome: 'QUEUE', event }));

    it('is found by the receipt of the decision; what stands elsewhere or nowhere is left out', async () => {
      const bus = open();
      const mark = randomBytes(4).toString('hex');
      const [one, two, never] = ['one', 'two', 'never'].map((name) => digestText(`${mark} ${name}`));
      const producer = await bus.openProducer({ name: `sources.${mark}` });
      const records = [decided(one ?? '', 'e-1'), decided(two ?? '', 'e-2')].map((text) => ({
        key: 'k',
        value: Buffer.from(text),
        headers: {},
      }));
      const [appended] = await producer.append([{ topic: TOPIC, partition: 0, records }]);
      await producer.close();
      const first = appended?.firstOffset ?? -1;
      const second = first + 1;
      const places = new Map([
        [one, { topic: TOPIC, partition: 0, offset: first }],
        [two, { topic: TOPIC, partition: 0, offset: second }],
      ]);
      const sources = (of: typeof places): DecisionSources =>
        new DecisionSources(
          new AdmittedRecords(
            {
              receipts: ({ event_ids }: { event_ids: readonly string[] }) =>
                Promise.resolve({
                  receipts: event_ids.map((id) => (of.has(id as never) ? { eb_ref: of.get(id as never) } : null)),
                }),
            } as never,
            bus,
            new SystemClock(),
          ),
        );
      const asked = [one ?? '', two ?? '', never ?? ''];
      expect([...(await sources(places).eventsOf(pins.run_id, asked))]).toEqual([
        [one, 'e-1'],
        [two, 'e-2'],
      ]);
      const swapped = new Map([[one, { topic: TOPIC, partition: 0, offset: second }]]);
      expect((await sources(swapped as never).eventsOf(pins.run_id, asked)).size).toBe(0);
    });
  });
}
