import { Type } from '@sinclair/typebox';
import {
  RunStatusSchema,
  type TrainAnswer,
  TrainAnswerSchema,
  type TrainRequest,
} from '../../modules/model-factory/train-run.schema.js';
import { type Bundle, BundleSchema } from '../../rails/model/bundle.schema.js';
import { type ModelGateReceipt, ModelGateReceiptSchema } from '../../rails/registry/gate-receipt.schema.js';
import type { Sealed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type DoorApi, got, posted, queryOf } from './door-api.js';

const PageSchema = Type.Object({ runs: Type.Array(RunStatusSchema), next_cursor: Type.Optional(Type.String()) });
const ShownSchema = Type.Object({
  run: RunStatusSchema,
  states: Type.Array(Type.Object({ state: Type.String(), at: Type.String() })),
});

const readers = {
  answer: validatorOf(TrainAnswerSchema, 'the answer'),
  page: validatorOf(PageSchema, 'the page of runs'),
  shown: validatorOf(ShownSchema, 'the run'),
  status: validatorOf(RunStatusSchema, 'the run'),
  bundle: validatorOf(BundleSchema, 'the bundle'),
  receipt: validatorOf(ModelGateReceiptSchema, 'the receipt'),
};

export type RunsPage = Sealed<typeof PageSchema>;
export type ShownRun = Sealed<typeof ShownSchema>;

/** The routes of the model factory. */
export class ModelApi {
  constructor(private readonly door: DoorApi) {}

  /** Sent again it is the same run, so a lost answer is asked for again. */
  async request(request: TrainRequest, candidate?: Bundle): Promise<TrainAnswer> {
    const body = { ...request, ...(candidate === undefined ? {} : { candidate }) };
    return await this.door.ask('mf', { ...posted('/v1/training-runs', body), repeatable: true }, readers.answer);
  }

  async list(query: Readonly<Record<string, string | number | undefined>>): Promise<RunsPage> {
    return await this.door.ask('mf', got(`/v1/training-runs${queryOf(query)}`), readers.page);
  }

  async show(id: string): Promise<ShownRun> {
    return await this.door.ask('mf', got(pathOf(id)), readers.shown);
  }

  async receipt(id: string): Promise<ModelGateReceipt> {
    return await this.door.ask('mf', got(pathOf(id, '/receipt')), readers.receipt);
  }

  async bundle(id: string): Promise<Bundle> {
    return await this.door.ask('mf', got(pathOf(id, '/bundle')), readers.bundle);
  }

  /** Its bytes, as they were kept. */
  async report(id: string, form: 'html' | 'json'): Promise<Buffer> {
    return await this.door.bytes('mf', pathOf(id, `/report.${form}`));
  }

  async cancel(id: string): Promise<Sealed<typeof RunStatusSchema>> {
    return await this.door.ask('mf', posted(pathOf(id, '/cancel'), {}), readers.status);
  }
}

function pathOf(id: string, rest = ''): string {
  return `/v1/training-runs/${encodeURIComponent(id)}${rest}`;
}
