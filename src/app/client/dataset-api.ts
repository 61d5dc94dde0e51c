import { Type } from '@sinclair/typebox';
import {
  BuildAnswerSchema,
  type BuildIntent,
  BuildStatusSchema,
  DatasetReadingSchema,
} from '../../modules/offline-feature-shadow/dataset.schema.js';
import type { Sealed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type DoorApi, got, posted, queryOf } from './door-api.js';

const PageSchema = Type.Object({ builds: Type.Array(BuildStatusSchema), next_cursor: Type.Optional(Type.String()) });
const ShownSchema = Type.Object({
  build: BuildStatusSchema,
  states: Type.Array(Type.Object({ state: Type.String(), at: Type.String() })),
});

const readers = {
  answer: validatorOf(BuildAnswerSchema, 'the answer'),
  page: validatorOf(PageSchema, 'the page of datasets'),
  shown: validatorOf(ShownSchema, 'the build'),
  reading: validatorOf(DatasetReadingSchema, 'the dataset'),
};

export type DatasetsPage = Sealed<typeof PageSchema>;
export type ShownBuild = Sealed<typeof ShownSchema>;
export type BuildAnswer = Sealed<typeof BuildAnswerSchema>;
export type DatasetReading = Sealed<typeof DatasetReadingSchema>;

/** The routes of the offline feature shadow. */
export class DatasetApi {
  constructor(private readonly door: DoorApi) {}

  /** Sent again it is the same build, so a lost answer is asked for again. */
  async request(intent: BuildIntent): Promise<BuildAnswer> {
    return await this.door.ask('ofs', { ...posted('/v1/datasets', intent), repeatable: true }, readers.answer);
  }

  async list(query: Readonly<Record<string, string | number | undefined>>): Promise<DatasetsPage> {
    return await this.door.ask('ofs', got(`/v1/datasets${queryOf(query)}`), readers.page);
  }

  async show(id: string): Promise<ShownBuild> {
    return await this.door.ask('ofs', got(`/v1/datasets/${encodeURIComponent(id)}`), readers.shown);
  }

  /** Verified there, file by file. */
  async manifest(id: string): Promise<DatasetReading> {
    return await this.door.ask('ofs', got(`/v1/datasets/${encodeURIComponent(id)}/manifest`), readers.reading);
  }

  async file(id: string, number: number): Promise<Buffer> {
    return await this.door.bytes('ofs', `/v1/datasets/${encodeURIComponent(id)}/files/${number}`);
  }
}
