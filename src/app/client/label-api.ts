import { type Static, Type } from '@sinclair/typebox';
import type { AssertionInput } from '../../modules/label-store/assertion.schema.js';
import {
  type AsOfRequest,
  AsOfResponse,
  AssertResponse,
  CountsResponse,
  type LabelCountsAnswer,
} from '../../modules/label-store/label-store.port.js';
import type { LabelMapping } from '../../modules/label-store/mapping.core.js';
import { LabelSchema } from '../../rails/events/label.schema.js';
import type { Sealed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type DoorApi, got, posted, queryOf } from './door-api.js';

const PageSchema = Type.Object({
  labels: Type.Array(Type.Object({ seq: Type.Integer(), run_id: Type.String(), label: LabelSchema })),
  next_cursor: Type.Optional(Type.String()),
});

const readers = {
  results: validatorOf(AssertResponse, 'the results'),
  known: validatorOf(AsOfResponse, 'what was known'),
  counts: validatorOf(CountsResponse, 'the counts of labels'),
  page: validatorOf(PageSchema, 'the page of labels'),
};

export type LabelResult = Sealed<typeof AssertResponse>['results'][number];
export type LabelPage = Sealed<typeof PageSchema>;
export type Known = Sealed<typeof AsOfResponse>;
export type KnownQuestion = Static<typeof AsOfRequest>;

/** The routes of the label store. */
export class LabelApi {
  constructor(private readonly door: DoorApi) {}

  /** Sent again the labels are duplicates, so a lost answer is asked for again. */
  async append(labels: readonly AssertionInput[]): Promise<readonly LabelResult[]> {
    const call = { ...posted('/v1/labels', { labels }), repeatable: true };
    return (await this.door.ask('labels', call, readers.results)).results;
  }

  async appendRows(request: {
    readonly run_id: string;
    readonly namespace: string;
    readonly mapping: LabelMapping;
    readonly rows: readonly unknown[];
  }): Promise<readonly LabelResult[]> {
    const call = { ...posted('/v1/labels/rows', request), repeatable: true };
    return (await this.door.ask('labels', call, readers.results)).results;
  }

  async known(question: KnownQuestion): Promise<Known> {
    return await this.door.ask('labels', posted('/v1/labels/as-of', question), readers.known);
  }

  async counts(runId: string): Promise<LabelCountsAnswer> {
    return await this.door.ask('labels', got(`/v1/runs/${encodeURIComponent(runId)}/labels/counts`), readers.counts);
  }

  async list(query: Readonly<Record<string, string | number | undefined>>): Promise<LabelPage> {
    return await this.door.ask('labels', got(`/v1/labels${queryOf(query)}`), readers.page);
  }
}
