import { DECISION_ROLES } from '../support/door.js';
import { datasetsSuite } from './datasets.cases.js';

datasetsSuite(['all']);
datasetsSuite([DECISION_ROLES.filter((role) => role !== 'ofs').join(','), 'ofs']);
