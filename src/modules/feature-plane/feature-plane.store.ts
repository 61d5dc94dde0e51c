import { Injectable } from '@nestjs/common';
import { Database } from '../../substrate/database/database.port.js';
import { CheckpointStore } from '../../substrate/projection/checkpoint.store.js';
import { GenerationsStore } from '../../substrate/projection/generations.store.js';

/** The schema `ofp`. */
@Injectable()
export class FeaturePlaneStore extends CheckpointStore {
  readonly generations: GenerationsStore;

  constructor(database: Database) {
    super(database, { superseded: 'OFP_SUPERSEDED', damaged: 'OFP_CHECKPOINT_DAMAGED' });
    this.generations = new GenerationsStore(database, this);
  }
}
