"""One public function a file."""
