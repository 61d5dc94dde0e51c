import { labelsSuite } from './labels.cases.js';

labelsSuite('embedded', ['all']);
labelsSuite('embedded', ['sr', 'ig', 'edge', 'labels', 'ofp']);
