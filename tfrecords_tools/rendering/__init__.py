"""Pictures of clothed human figures with exactly known keypoints: the synthetic data set."""
