import { Injectable } from '@nestjs/common';
import { Database } from '../../substrate/database/database.port.js';
import { CheckpointStore } from '../../substrate/projection/checkpoint.store.js';

/** The schema `ofp`. */
@Injectable()
export class FeaturePlaneStore extends CheckpointStore {
  constructor(database: Database) {
    super(database, { superseded: 'OFP_SUPERSEDED', damaged: 'OFP_CHECKPOINT_DAMAGED' });
  }
}
