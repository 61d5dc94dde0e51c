import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import { LabelFeed } from './label-feed.job.js';
import { WORLD } from './label-store.policy.js';
import type { CountsRequest, LabelCountsAnswer } from './label-store.port.js';
import { type Feed, LabelStoreStore } from './label-store.store.js';
import { SubmissionsStore } from './submissions.store.js';

/** Counts the labels of a run where they come in and where they stand. Only where the two differ everything is looked at again, to name what is lost. */
@Injectable()
export class LabelCounts {
  constructor(
    private readonly store: LabelStoreStore,
    private readonly submissions: SubmissionsStore,
    private readonly feed: LabelFeed,
  ) {}

  async of({ run_id, ids_max }: Static<typeof CountsRequest>): Promise<LabelCountsAnswer> {
    // How far a feed had come is read first: what enters meanwhile is counted as more in the ledger, and never as lost.
    const feed = await this.store.taken(run_id);
    const written = await this.submissions.written(run_id, WORLD);
    const sealed = feed === null || feed.output_id === null ? null : await this.#sealed(feed);
    const offending: Record<string, { count: number; ids: string[] }> = {};
    if (sealed !== null && feed !== null && hasLost(sealed)) {
      const { count, eventIds } = await this.feed.missing(feed, ids_max);
      offending['sealed_labels_not_in_ledger'] = { count, ids: [...eventIds] };
    }
    if (written.some(({ accepted, in_ledger }) => accepted > in_ledger)) {
      const { count, seqs } = await this.submissions.lost(run_id, ids_max);
      offending['labels_accepted_not_in_ledger'] = { count, ids: seqs.map((seq) => `ledger_seq ${seq}`) };
    }
    const detail = feed?.detail ?? null;
    return {
      ...{ state: feed?.state ?? 'UNKNOWN', ...(detail === null ? {} : { detail }) },
      ...{ sealed, written: [...written], refusals: [...(await this.submissions.refusals(run_id, ids_max))] },
      offending,
    };
  }

  async #sealed(feed: Feed): Promise<NonNullable<LabelCountsAnswer['sealed']>> {
    const { rows_total: rows, next_row: read, published: entered, passed_over } = feed;
    return { rows, read, entered, passed_over, in_ledger: await this.submissions.inLedger(feed.run_id, WORLD) };
  }
}

function hasLost({ read, entered, passed_over, in_ledger }: NonNullable<LabelCountsAnswer['sealed']>): boolean {
  return in_ledger < entered || (passed_over !== null && entered + passed_over < read);
}
