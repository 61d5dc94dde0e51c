import { Injectable } from '@nestjs/common';
import type { LabelTarget } from '../../rails/labels/target.js';
import type { RunPins } from '../../rails/pins.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { eventIdOf as sealedEventIdOf } from '../data-engine/data-engine.port.js';
import { IngestionGatePort, type Receipt, SUBMIT_EVENTS_MAX } from '../ingestion-gate/ingestion-gate.port.js';
import { edgeEventIdOf } from '../producer-edges/producer-edges.port.js';
import { type Draft, eventTarget, type Found, type Refusal } from './assertion.core.js';
import { LabelStoreStore, type LabelledRun } from './label-store.store.js';

/** Looks up what assertions are about: the run, and the event in the gate's ledger, under its own id or that of its producer. */
@Injectable()
export class LabelTargets {
  constructor(
    private readonly store: LabelStoreStore,
    private readonly gate: IngestionGatePort,
  ) {}

  /**
   * One answer per draft, in their order, with one look at the runs and as few calls of the gate as it takes.
   * @throws what the gate's `receipts` throws
   */
  async find(
    drafts: readonly Draft[],
    producers: readonly string[],
    context: CallContext,
  ): Promise<readonly (Found | Refusal)[]> {
    const runs = await this.store.runs([...new Set(drafts.map(({ assertion }) => assertion.run_id))]);
    const candidates = drafts.map(({ assertion }) => candidatesOf(assertion, runs.get(assertion.run_id), producers));
    const receipts = await this.#receipts(drafts, candidates, context);
    return drafts.map(({ assertion }, index) => {
      const run = runs.get(assertion.run_id);
      if (run === undefined)
        return { code: 'LBL_RUN_UNKNOWN', detail: 'no READY of this run was read from the control topic yet' };
      const { target } = assertion;
      if (target.kind === 'ENTITY' || target.kind === 'FLOW') return { pins: run.pins, target, ts: null };
      return foundOf(run.pins, candidates[index] ?? [], receipts.get(assertion.run_id) ?? new Map());
    });
  }

  async #receipts(
    drafts: readonly Draft[],
    candidates: readonly (readonly string[])[],
    context: CallContext,
  ): Promise<ReadonlyMap<string, ReadonlyMap<string, Receipt>>> {
    const wanted = new Map<string, Set<string>>();
    drafts.forEach(({ assertion: { run_id } }, index) => {
      const ids = wanted.get(run_id) ?? new Set();
      wanted.set(run_id, ids);
      for (const id of candidates[index] ?? []) ids.add(id);
    });
    const found = new Map<string, Map<string, Receipt>>();
    for (const [run_id, ids] of wanted) {
      const receipts = new Map<string, Receipt>();
      found.set(run_id, receipts);
      const all = [...ids];
      for (let at = 0; at < all.length; at += SUBMIT_EVENTS_MAX) {
        const event_ids = all.slice(at, at + SUBMIT_EVENTS_MAX) as Receipt['event_id'][] as never;
        const answer = await this.gate.receipts({ run_id: run_id as never, event_ids }, context);
        for (const receipt of answer.receipts)
          if (receipt?.event_id !== undefined) receipts.set(receipt.event_id, receipt);
      }
    }
    return found;
  }
}

/** The ids that the event may have: its own, or those that the ways in make of the transaction's. */
function candidatesOf(
  { target }: Draft['assertion'],
  run: LabelledRun | undefined,
  producers: readonly string[],
): readonly string[] {
  if (run === undefined) return [];
  if (target.kind === 'EVENT') return [target.event_id];
  if (target.kind !== 'TRANSACTION') return [];
  const { transaction_id, producer } = target;
  if (producer !== undefined) return [edgeEventIdOf(producer, transaction_id)];
  const { run_id: _run, ...world } = run.pins;
  return [
    ...run.trafficOutputs.map((output) => sealedEventIdOf(output, transaction_id, world)),
    ...producers.map((name) => edgeEventIdOf(name, transaction_id)),
  ];
}

function foundOf(
  pins: RunPins,
  candidates: readonly string[],
  receipts: ReadonlyMap<string, Receipt>,
): Found | Refusal {
  const admitted = candidates.flatMap((id) => receipts.get(id) ?? []);
  const [receipt] = admitted;
  if (receipt?.event_id === undefined)
    return { code: 'LBL_TARGET_UNKNOWN', detail: 'the gate has admitted no such event in this run' };
  if (admitted.length > 1)
    return {
      code: 'LBL_AMBIGUOUS_TARGET',
      detail: `${admitted.length} events have this transaction id; name producer`,
    };
  const target: LabelTarget = eventTarget(receipt.event_id);
  return { pins, target, ts: receipt.ts_utc ?? null };
}
