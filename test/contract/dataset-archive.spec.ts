import { describe } from '@jest/globals';
import { datasetArchiveSuite } from './dataset-archive.contract.js';
import { openShadowGround } from './offline-feature-shadow.kit.js';

describe('datasets and the archive, embedded', () => {
  datasetArchiveSuite(() => openShadowGround('embedded'));
});
